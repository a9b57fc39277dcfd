# Auto-generated project tcl file


create_project holdfast_arty_a7_100 -force

set_property part xc7a100tcsg324-1 [current_project]





read_verilog {design.v}
read_xdc {arty_a7_100.xdc}

set_property include_dirs [list .] [get_filesets sources_1]
set_property top holdfast_top [current_fileset]
set_property source_mgmt_mode None [current_project]


