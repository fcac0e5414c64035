package cluster

import "context"

// AskAdmission asks a leader for what a node asks for that comes back: to be found where it is.
func (n *Node) AskAdmission(ctx context.Context, leader string) error {
	return n.call(ctx, leader, pathAdmit, n.request(*n.self.Load()), nil)
}
