# Written by Holdfast.
create_bd_design system
set ps [create_bd_cell -type ip -vlnv xilinx.com:ip:zynq_ultra_ps_e:3.5 ps]
set_property -dict [list CONFIG.PSU__USE__M_AXI_GP0 {1} CONFIG.PSU__USE__M_AXI_GP1 {0} CONFIG.PSU__USE__M_AXI_GP2 {0} CONFIG.PSU__USE__IRQ0 {1} CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ {200}] $ps
set core [create_bd_cell -type module -reference holdfast_axi core]
set bus [create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect:1.0 bus]
set_property -dict [list CONFIG.NUM_SI {1} CONFIG.NUM_MI {1}] $bus
set rst [create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset:5.0 rst]
connect_bd_net [get_bd_pins ps/pl_clk0] [get_bd_pins ps/maxihpm0_fpd_aclk] [get_bd_pins bus/aclk] [get_bd_pins rst/slowest_sync_clk] [get_bd_pins core/aclk]
connect_bd_net [get_bd_pins ps/pl_resetn0] [get_bd_pins rst/ext_reset_in]
connect_bd_net [get_bd_pins rst/peripheral_aresetn] [get_bd_pins bus/aresetn] [get_bd_pins core/aresetn]
connect_bd_intf_net [get_bd_intf_pins ps/M_AXI_HPM0_FPD] [get_bd_intf_pins bus/S00_AXI]
connect_bd_intf_net [get_bd_intf_pins bus/M00_AXI] [get_bd_intf_pins core/s_axi]
connect_bd_net [get_bd_pins core/interrupt] [get_bd_pins ps/pl_ps_irq0]
create_bd_port -dir O -from 1 -to 0 leds
connect_bd_net [get_bd_pins core/leds] [get_bd_ports leds]
assign_bd_address -offset 0xA0000000 -range 32M [get_bd_addr_segs core/s_axi/reg0]
validate_bd_design
save_bd_design
make_wrapper -files [get_files system.bd] -top -import
