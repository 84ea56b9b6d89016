//! What the tests of BCM are made with: fake origins, fault injectors, comparison of trees.
