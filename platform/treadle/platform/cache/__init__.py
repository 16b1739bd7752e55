"""Results of steps with `cache`, kept per workspace: nobody learns what others asked."""
