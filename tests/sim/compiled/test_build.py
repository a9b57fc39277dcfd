from holdfast.sim.compiled.build import clock_triggers_all, storage_members


def test_register_is_not_its_copy(tmp_path):
    """Verilator writes some registers through a member that differs in its prefix alone."""
    lines = (
        "CData/*7:0*/ top__DOT__unit___05Fweight;",
        "CData/*7:0*/ __Vdly__top__DOT__unit___05Fweight;",
        "VL_IN8(clk,0,0);",
    )
    (tmp_path / "Vmodel___024root.h").write_text("\n".join(lines))
    assert storage_members(tmp_path) == {"unit__weight": "top__DOT__unit___05Fweight", "clk": "clk"}


NBA = """
void Vmodel___024root___eval_nba(Vmodel___024root* vlSelf) {
    if (%s) {
        Vmodel___024root___nba_sequent__TOP__0(vlSelf);
    }
}
"""
CLOCK = "(1ULL & vlSelfRef.__VnbaTriggered[0U])"


def test_a_cycle_is_one_call_only_where_the_clock_is_the_only_trigger():
    assert clock_triggers_all(NBA % CLOCK)
    assert not clock_triggers_all(NBA % "(3ULL & vlSelfRef.__VnbaTriggered[0U])")
    assert not clock_triggers_all(NBA % CLOCK + "___eval_act(vlSelf);")
    assert not clock_triggers_all("")
