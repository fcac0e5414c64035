package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"broker/api/types"
)

// stallTimeout is how long a node may send nothing of a snapshot.
const stallTimeout = 30 * time.Second

// errStalled is why a download was given up.
var errStalled = errors.New("the node has sent nothing for " + stallTimeout.String())

// SaveSnapshot has a node make a snapshot and writes it to w as it arrives. The first node that begins to
// send one is taken; what it has sent cannot be taken back, so that there is no second try after that. The
// file ends with a checksum, which the caller verifies. Config.Timeout bounds the time until the first byte
// only.
func (c *Client) SaveSnapshot(ctx context.Context, w io.Writer, options ...Option) error {
	one := &call{method: http.MethodGet, path: "/api/v1/snapshot", query: url.Values{}, header: http.Header{}, consistency: c.config.Consistency}
	for _, option := range options {
		option(one)
	}
	if one.consistency != "" {
		one.query.Set("consistency", string(one.consistency))
	}
	failed := &UnreachableError{}
	var last error
	for _, address := range c.addresses {
		begun, err := c.saveFrom(ctx, address, one, w)
		switch err = c.redacted(err); {
		case err == nil:
			return nil
		case begun || ctx.Err() != nil:
			return fmt.Errorf("saving a snapshot from %s: %w", address, err)
		}
		var problem *types.Problem
		if errors.As(err, &problem) {
			last = err
		}
		failed.Failures = append(failed.Failures, Failure{address, err})
	}
	if last != nil {
		return fmt.Errorf("saving a snapshot: %w", last)
	}
	return fmt.Errorf("saving a snapshot: %w", failed)
}

// DiffSnapshot has every outside system of a restored cluster listed and returns what differs from the ledger.
func (c *Client) DiffSnapshot(ctx context.Context, options ...Option) (types.Page[types.SnapshotDifference], error) {
	var out types.Page[types.SnapshotDifference]
	err := c.do(ctx, "comparing the restored cluster with outside systems", &call{method: http.MethodPost, path: "/api/v1/snapshot/diff", answer: &out}, options...)
	return out, err
}

// ReleaseSnapshot has a restored cluster work again.
func (c *Client) ReleaseSnapshot(ctx context.Context, spec types.SnapshotReleaseSpec, options ...Option) (types.SnapshotRelease, error) {
	var out types.SnapshotRelease
	err := c.do(ctx, "releasing the restored cluster", &call{method: http.MethodPost, path: "/api/v1/snapshot/release", body: spec, answer: &out}, options...)
	return out, err
}

// saveFrom downloads from one node. begun tells whether anything was written.
func (c *Client) saveFrom(ctx context.Context, address string, one *call, w io.Writer) (begun bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(c.config.Timeout, func() { cancel(ErrTimeout) })
	defer watch.Stop()
	request, err := c.request(ctx, address, one, nil)
	if err != nil {
		return false, err
	}
	request.Header.Set("Accept", types.SnapshotContentType+", "+types.ProblemContentType)
	response, err := c.http.Do(request)
	if err != nil {
		return false, because(ctx, c.noAnswer(one, err).err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != types.SnapshotContentType {
		content, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
		if err != nil {
			return false, because(ctx, err)
		}
		return false, refused(one, address, response, content).err
	}
	watch.Stop()
	stalled := time.AfterFunc(stallTimeout, func() { cancel(errStalled) })
	defer stalled.Stop()
	buffer := make([]byte, 256<<10)
	for {
		n, err := response.Body.Read(buffer)
		stalled.Reset(stallTimeout)
		if n > 0 {
			if _, err := w.Write(buffer[:n]); err != nil {
				return true, err
			}
		}
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return true, because(ctx, fmt.Errorf("the connection ended before the snapshot did: %w", err))
		}
	}
}

// because returns why a context was ended by us, else the error.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errStalled) || errors.Is(cause, ErrTimeout) {
		return cause
	}
	return err
}
