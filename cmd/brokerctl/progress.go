package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// progress counts bytes and, where somebody looks, tells each half second how many there are.
type progress struct {
	written atomic.Int64
	stop    func()
}

func (a *app) newProgress(ctx context.Context) *progress {
	p := &progress{stop: func() {}}
	if !a.interactive || a.quiet {
		return p
	}
	ctx, cancel := context.WithCancel(ctx)
	began := time.Now()
	var telling sync.WaitGroup
	telling.Go(func() {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				fmt.Fprint(a.err, "\r\x1b[K") // the line was for the time between
				return
			case <-tick.C:
				n := p.total()
				fmt.Fprintf(a.err, "\r\x1b[K%s, %s/s", sizeText(n), sizeText(int64(float64(n)/time.Since(began).Seconds())))
			}
		}
	})
	p.stop = func() { cancel(); telling.Wait() }
	return p
}

// Write counts.
func (p *progress) Write(data []byte) (int, error) {
	p.written.Add(int64(len(data)))
	return len(data), nil
}

func (p *progress) total() int64 { return p.written.Load() }

func (p *progress) end() { p.stop() }

// sizeText tells a number of bytes.
func sizeText(n int64) string {
	switch {
	case n < 10_000:
		return fmt.Sprintf("%d bytes", n)
	case n < 10_000_000:
		return fmt.Sprintf("%.0f kB", float64(n)/1e3)
	case n < 10_000_000_000:
		return fmt.Sprintf("%.0f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}
