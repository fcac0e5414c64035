package console

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"broker/api/types"
)

// saveSnapshot sends a snapshot as a file. It may take longer than a page.
func (c *Console) saveSnapshot(p *page) error {
	name := fmt.Sprintf("broker-%s-%s.snapshot", short(c.config.ClusterID()), p.Now().UTC().Format("20060102-150405"))
	out := &download{w: p.w, control: http.NewResponseController(p.w), head: func() {
		p.w.Header().Set("Content-Type", types.SnapshotContentType)
		p.w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	}}
	err := p.Client.SaveSnapshot(p.r.Context(), out)
	if err != nil && out.begun {
		c.log.WarnContext(p.ctx, "sending a snapshot failed", "error", err)
		panic(http.ErrAbortHandler) // the status is sent: all that tells is that the file ends early
	}
	return err
}

// download writes a file for as long as the browser takes something now and then.
type download struct {
	w       http.ResponseWriter
	control *http.ResponseController
	head    func() // sets the headers, before the first byte
	begun   bool
}

func (d *download) Write(data []byte) (int, error) {
	if !d.begun {
		d.head()
		d.begun = true
	}
	if err := d.control.SetWriteDeadline(time.Now().Add(stall)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return d.w.Write(data)
}
