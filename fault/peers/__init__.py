"""Another injector's shortcuts, to measure their bias."""
