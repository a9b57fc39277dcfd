# KV260. Pins 1 and 3 of PMOD J2, as in AMD's constraints files; the carrier has no light for the
# programmable logic. Clock and reset come from the processing system.
set_property -dict { PACKAGE_PIN H12 IOSTANDARD LVCMOS33 } [get_ports { leds[0] }]
set_property -dict { PACKAGE_PIN E10 IOSTANDARD LVCMOS33 } [get_ports { leds[1] }]
set_false_path -to [get_ports { leds[*] }]
