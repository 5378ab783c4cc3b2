"""Documentation Templates and Rules: the policy's form, packaged and filled in from what is known. No web, no clock."""
