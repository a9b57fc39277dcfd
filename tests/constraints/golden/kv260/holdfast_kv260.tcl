# Auto-generated project tcl file


create_project holdfast_kv260 -force

set_property part xck26-sfvc784-2LV-c [current_project]





read_verilog {design.v}
read_verilog {wrapper.v}
source {system.tcl}
read_xdc {kv260.xdc}

set_property include_dirs [list .] [get_filesets sources_1]
set_property top system_wrapper [current_fileset]
set_property source_mgmt_mode None [current_project]


