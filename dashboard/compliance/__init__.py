"""Parts of the Compliance page: clauses and their claims, statements and waivers, the bundle."""
