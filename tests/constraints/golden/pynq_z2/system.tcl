# Written by Holdfast.
create_bd_design system
set ps [create_bd_cell -type ip -vlnv xilinx.com:ip:processing_system7:5.5 ps]
apply_bd_automation -rule xilinx.com:bd_rule:processing_system7 -config {make_external "FIXED_IO, DDR" apply_board_preset "0"} $ps
set_property -dict [list CONFIG.PCW_USE_M_AXI_GP0 {1} CONFIG.PCW_USE_FABRIC_INTERRUPT {1} CONFIG.PCW_IRQ_F2P_INTR {1} CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ {100}] $ps
set core [create_bd_cell -type module -reference holdfast_axi core]
set bus [create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect:1.0 bus]
set_property -dict [list CONFIG.NUM_SI {1} CONFIG.NUM_MI {1}] $bus
set rst [create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset:5.0 rst]
connect_bd_net [get_bd_pins ps/FCLK_CLK0] [get_bd_pins ps/M_AXI_GP0_ACLK] [get_bd_pins bus/aclk] [get_bd_pins rst/slowest_sync_clk] [get_bd_pins core/aclk]
connect_bd_net [get_bd_pins ps/FCLK_RESET0_N] [get_bd_pins rst/ext_reset_in]
connect_bd_net [get_bd_pins rst/peripheral_aresetn] [get_bd_pins bus/aresetn] [get_bd_pins core/aresetn]
connect_bd_intf_net [get_bd_intf_pins ps/M_AXI_GP0] [get_bd_intf_pins bus/S00_AXI]
connect_bd_intf_net [get_bd_intf_pins bus/M00_AXI] [get_bd_intf_pins core/s_axi]
connect_bd_net [get_bd_pins core/interrupt] [get_bd_pins ps/IRQ_F2P]
create_bd_port -dir O -from 1 -to 0 leds
connect_bd_net [get_bd_pins core/leds] [get_bd_ports leds]
assign_bd_address -offset 0x40000000 -range 32M [get_bd_addr_segs core/s_axi/reg0]
validate_bd_design
save_bd_design
make_wrapper -files [get_files system.bd] -top -import
