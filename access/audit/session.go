package audit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// run sends until there is nothing more to send and nothing more comes.
func (s *syslog) run() {
	defer close(s.ended)
	var pause time.Duration
	told := ""
	for s.life.Err() == nil {
		err := s.session(func() {
			if told != "" {
				s.log.Info("syslog is there again", "address", s.config.Address)
			}
			pause, told = 0, ""
		})
		if err == nil {
			return
		}
		if s.life.Err() == nil && told != err.Error() {
			told = err.Error()
			s.log.Error("audit records do not reach syslog", "address", s.config.Address, "error", err)
		}
		pause = min(max(2*pause, 100*time.Millisecond), 5*time.Second)
		select {
		case <-time.After(pause):
		case <-s.life.Done():
		}
	}
}

// finish sends what waits, as long as the context lasts.
func (s *syslog) finish(ctx context.Context) error {
	s.mu.Lock()
	s.ending = true
	s.mu.Unlock()
	s.poke()
	select {
	case <-s.ended:
	case <-ctx.Done():
	}
	s.end()
	<-s.ended
	if waiting, _ := s.figures(); waiting > 0 {
		return fmt.Errorf("%d records did not reach syslog; the file has them", waiting)
	}
	return nil
}

// session sends over one connection. Nil: all was sent, and nothing more comes.
func (s *syslog) session(there func()) error {
	conn, err := s.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	cut := context.AfterFunc(s.life, func() { _ = conn.Close() })
	defer cut()
	gone := make(chan struct{})
	go func() { // a receiver says nothing: what can be read is that it went away
		defer close(gone)
		_, _ = io.Copy(io.Discard, conn)
	}()
	defer func() {
		_ = conn.Close()
		<-gone
	}()
	s.repeat()
	there()
	var buf []byte
	for {
		var count int
		if buf, count = s.next(buf[:0]); count == 0 {
			if s.done() {
				return nil
			}
			select {
			case <-s.wake:
			case <-gone:
				return errors.New("the receiver closed the connection")
			case <-s.life.Done():
				return s.life.Err()
			}
			continue
		}
		if err := conn.SetWriteDeadline(time.Now().Add(s.config.Patience)); err != nil {
			return err
		}
		if _, err := conn.Write(buf); err != nil {
			return err
		}
		s.took(count)
	}
}

func (s *syslog) dial() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(s.life, 5*time.Second)
	defer cancel()
	if s.tls == nil {
		var d net.Dialer
		return d.DialContext(ctx, s.network, s.host)
	}
	d := tls.Dialer{Config: s.tls}
	return d.DialContext(ctx, s.network, s.host)
}

// repeat puts what the connection before had taken last in front again.
func (s *syslog) repeat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames = append(s.sent, s.frames...)
	s.bytes += s.sentBytes
	s.sent, s.sentBytes = nil, 0
}

// next appends the frames that are to be sent next.
func (s *syslog) next(buf []byte) (_ []byte, count int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, frame := range s.frames {
		if count > 0 && len(buf)+len(frame) > maxWrite {
			break
		}
		buf = append(buf, frame...)
		count++
	}
	return buf, count
}

// done reports whether nothing waits and nothing more comes.
func (s *syslog) done() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ending && len(s.frames) == 0
}

// took moves frames to those that were sent.
func (s *syslog) took(count int) {
	s.mu.Lock()
	full := !s.fitsLocked()
	for _, frame := range s.frames[:count] {
		s.bytes -= len(frame)
		s.sentBytes += len(frame)
	}
	s.sent = append(s.sent, s.frames[:count]...)
	clear(s.frames[:count])
	s.frames = s.frames[count:]
	for s.sentBytes > again {
		s.sentBytes -= len(s.sent[0])
		s.sent[0] = nil
		s.sent = s.sent[1:]
	}
	s.mu.Unlock()
	if full {
		s.room()
	}
}
