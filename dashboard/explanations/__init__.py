"""The parts of the Explanations page: images and their maps, groups, interventions, models compared, stamps."""
