"""What runs in a lab's cluster: deployed, waited for, explained, removed. For clusters that run stacks."""
