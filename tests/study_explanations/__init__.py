"""Study of explanations where the truth is known: do they point to a planted shortcut, and are fakes found out."""
