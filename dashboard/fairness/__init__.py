"""Parts of the Fairness page, a module each; `dashboard.views.fairness` puts them together."""
