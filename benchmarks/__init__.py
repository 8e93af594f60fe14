"""Problems with tests: what is asked and what counts as solved. Runs nothing, samples nothing."""
