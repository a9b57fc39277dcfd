# PYNQ-Z2. Pins of TUL's constraints file v1.0. Clock and reset come from the processing system.
set_property -dict { PACKAGE_PIN R14 IOSTANDARD LVCMOS33 } [get_ports { leds[0] }]
set_property -dict { PACKAGE_PIN P14 IOSTANDARD LVCMOS33 } [get_ports { leds[1] }]
set_false_path -to [get_ports { leds[*] }]
