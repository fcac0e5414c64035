package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"broker/access"
	"broker/api/types"
	"broker/broker"
	"broker/fsm"
)

// Snapshot is a copy of the whole state on its way to a client.
type Snapshot interface {
	io.WriterTo
	io.Closer
}

// SnapshotGet asks for a snapshot.
type SnapshotGet struct{ Read }

func (SnapshotGet) resource() Resource { return Resource{Kind: access.KindCluster} }

// SnapshotDiff asks what differs between a restored ledger and the outside systems. It has no dry run: what
// it finds is recorded.
type SnapshotDiff struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"Taken and not needed: looking may be repeated"`
}

func (SnapshotDiff) resource() Resource { return Resource{Kind: access.KindCluster} }

// SnapshotRelease asks for the end of a restored cluster's holding still.
type SnapshotRelease struct {
	Keyed
	Body types.SnapshotReleaseSpec
}

func (SnapshotRelease) resource() Resource { return Resource{Kind: access.KindCluster} }

// streamed is an answer that is written while it is made.
type streamed struct {
	Type string `header:"Content-Type"`
	Name string `header:"Content-Disposition"`
	Body func(huma.Context)
}

// stallTimeout is how long a client may take nothing of what it asked for. Until it has everything the state
// file cannot use the room again that becomes free.
const stallTimeout = 30 * time.Second

func (r *routes) snapshots() {
	s := r.server
	register(r, route{id: "snapshot-get", action: "snapshot:save", lasts: true, method: http.MethodGet, path: "/snapshot", summary: "Make a snapshot of the cluster's state as the answering node has it; a file that ends with a checksum"}, s.getSnapshot)
	register(r, route{id: "snapshot-diff", action: "snapshot:diff", method: http.MethodPost, path: "/snapshot/diff", summary: "Tell what differs between a restored ledger and the outside systems, which are listed now"}, s.diffSnapshot)
	register(r, route{id: "snapshot-release", action: "snapshot:release", method: http.MethodPost, path: "/snapshot/release", summary: "Have a restored cluster work again"}, s.releaseSnapshot)
}

func (s *Server) diffSnapshot(ctx context.Context, c *call, _ *SnapshotDiff) (*body[types.Page[types.SnapshotDifference]], error) {
	list, err := s.config.Broker.SnapshotDiff(ctx, c.request(false))
	if err != nil {
		return nil, err
	}
	out := body[types.Page[types.SnapshotDifference]]{types.Page[types.SnapshotDifference]{Items: []types.SnapshotDifference{}}}
	err = s.view(c, func(view View) error {
		for _, one := range list {
			found := s.reportOf(view, one.SweepReport)
			over := []string{}
			for _, id := range one.Over {
				over = append(over, string(id))
			}
			out.Body.Items = append(out.Body.Items, types.SnapshotDifference{
				Connection: found.Connection, System: found.System, Current: found.Current, Mode: found.Mode,
				Skipped: found.Skipped, Error: found.Error, Listed: found.Listed, Unknown: found.Orphans, Missing: found.Missing, Over: over,
			})
		}
		return nil
	})
	return &out, err
}

func (s *Server) releaseSnapshot(ctx context.Context, c *call, in *SnapshotRelease) (*body[types.SnapshotRelease], error) {
	spec := broker.ReleaseSpec{Unknown: fsm.UnknownPolicy(in.Body.Unknown), Reason: in.Body.Reason}
	if in.Body.TTL != nil {
		var err error
		if spec.TTL, err = positive("ttl", in.Body.TTL); err != nil {
			return nil, err
		}
	}
	done, err := s.config.Broker.ReleaseSnapshot(ctx, c.request(in.DryRun), spec)
	if err != nil {
		return nil, err
	}
	return &body[types.SnapshotRelease]{types.SnapshotRelease{Adopted: done.Adopted, Kept: done.Kept, Alone: done.Alone}}, nil
}

// tellRestored adds that the cluster is a restored one.
func tellRestored(out *types.Cluster, mark *fsm.Restored) {
	if mark == nil {
		return
	}
	out.Restored = &types.Restored{Drill: mark.Drill, SnapshotAt: mark.CreatedAt.Time(), RestoredAt: mark.At.Time()}
	out.Warnings = append(out.Warnings, mark.Refusal().Message)
}

func (s *Server) getSnapshot(_ context.Context, c *call, _ *SnapshotGet) (*streamed, error) {
	if s.config.Snapshot == nil {
		return nil, problem(codeNoRoute, "this node makes no snapshots")
	}
	made, err := s.config.Snapshot()
	if err != nil {
		return nil, err
	}
	out := &streamed{Type: types.SnapshotContentType, Name: `attachment; filename="broker.snapshot"`}
	out.Body = func(ctx huma.Context) {
		defer func() { _ = made.Close() }() // whatever happens: an open copy holds up a restore
		w, ok := ctx.BodyWriter().(http.ResponseWriter)
		if !ok {
			panic(http.ErrAbortHandler)
		}
		_, err := made.WriteTo(&patient{w: w, connection: http.NewResponseController(w)})
		if err = errors.Join(err, made.Close()); err != nil {
			// The status is sent: all that tells the client is an end without the checksum.
			s.log.Warn("sending a snapshot failed", "request_id", c.id, "error", err)
			panic(http.ErrAbortHandler)
		}
	}
	return out, nil
}

// patient writes for as long as its client takes something now and then.
type patient struct {
	w          io.Writer
	connection *http.ResponseController
}

func (p *patient) Write(data []byte) (int, error) {
	// A server without deadlines has none to move.
	if err := p.connection.SetWriteDeadline(time.Now().Add(stallTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return p.w.Write(data)
}
