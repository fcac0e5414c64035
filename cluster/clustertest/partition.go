package clustertest

func (c *Cluster) reachesMajority(n *Node) bool {
	reached := 0
	for _, other := range c.Nodes {
		if other == n || (other.Running() && c.board.connected(n.ID, other.ID)) {
			reached++
		}
	}
	return reached > len(c.Nodes)/2
}

// Partition cuts the given nodes off from all others, not from each other. Open
// connections across the cut end, new ones fail.
func (c *Cluster) Partition(side ...*Node) {
	here := make(map[*Node]bool)
	for _, n := range side {
		here[n] = true
	}
	for _, n := range c.Nodes {
		for _, other := range c.Nodes {
			if here[n] != here[other] {
				c.CutDials(n, other)
			}
		}
	}
}

// CutDials cuts one direction only: what from opens to to ends and fails, what
// to opens to from goes on, answers included.
func (c *Cluster) CutDials(from, to *Node) {
	c.board.separate(route{from.ID, to.ID})
}

// Isolate cuts one node off from all others.
func (c *Cluster) Isolate(n *Node) { c.Partition(n) }

// MendDials undoes CutDials and what Partition did in that direction.
func (c *Cluster) MendDials(from, to *Node) {
	c.board.mend(func(r route) bool { return r != route{from.ID, to.ID} })
}

// Heal undoes every cut.
func (c *Cluster) Heal() {
	dead := make(map[string]bool)
	for _, n := range c.Nodes {
		dead[n.ID] = !n.Running()
	}
	c.board.mend(func(r route) bool { return dead[r.from] || dead[r.to] })
}
