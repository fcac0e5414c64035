package api

import (
	"context"
	"sync"

	"broker/fsm"
)

// streams are the open streams of a node: so many at most, and all end when the node stops.
type streams struct {
	most int             // on the node
	each int             // of one account
	stop context.Context // done when the node stops
	end  context.CancelFunc

	mu   sync.Mutex
	open int
	of   map[fsm.AccountName]int // those of each account that has any
}

func newStreams(most, each int) *streams {
	s := &streams{most: most, each: each, of: map[fsm.AccountName]int{}}
	s.stop, s.end = context.WithCancel(context.Background())
	return s
}

// enter counts a stream of an account that begins; leave must be called at its end.
func (s *streams) enter(account fsm.AccountName) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open >= s.most {
		p := problem(codeTooManyStreams, "this node serves as many event streams as it may")
		p.Hint = "close streams that nobody reads, or ask another node"
		return nil, p
	}
	if s.of[account] >= s.each {
		p := problem(codeTooManyStreams, "this account has as many event streams open at this node as one may")
		p.Hint = "close streams that nobody reads, or ask another node"
		return nil, p
	}
	s.open++
	s.of[account]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open--
		if s.of[account]--; s.of[account] == 0 {
			delete(s.of, account)
		}
	}, nil
}

// within returns a context that also ends when the node stops.
func (s *streams) within(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	release := context.AfterFunc(s.stop, cancel)
	return ctx, func() { release(); cancel() }
}

// ending reports whether the node stops.
func (s *streams) ending() bool { return s.stop.Err() != nil }

// EndStreams ends all event streams, and those that begin later at once, each with a word that sends its
// client to another node. A node that stops calls it: waiting for streams to end would take for ever.
func (s *Server) EndStreams() { s.streams.end() }

// Streams returns how many event streams are open.
func (s *Server) Streams() int {
	s.streams.mu.Lock()
	defer s.streams.mu.Unlock()
	return s.streams.open
}
