from holdfast.sim.compiled.build import storage_members


def test_register_is_not_its_copy(tmp_path):
    """Verilator writes some registers through a member that differs in its prefix alone."""
    lines = (
        "CData/*7:0*/ top__DOT__unit___05Fweight;",
        "CData/*7:0*/ __Vdly__top__DOT__unit___05Fweight;",
        "VL_IN8(clk,0,0);",
    )
    (tmp_path / "Vmodel___024root.h").write_text("\n".join(lines))
    assert storage_members(tmp_path) == {"unit__weight": "top__DOT__unit___05Fweight", "clk": "clk"}
