package console

import (
	"fmt"

	"broker/api/types"
)

// saveSnapshot sends a snapshot as a file.
func (c *Console) saveSnapshot(p *page) error {
	name := fmt.Sprintf("broker-%s-%s.snapshot", short(c.config.ClusterID()), p.Now().UTC().Format("20060102-150405"))
	out := p.save(name, types.SnapshotContentType)
	return out.end(p.Client.SaveSnapshot(p.r.Context(), out))
}
