package snapshot

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
)

// A Reader reads the content of one snapshot. It reports the end of the content only after the checksum
// proved to be right; what it returned before that may be damaged. It is not safe for concurrent use.
type Reader struct {
	header Header
	in     io.Reader // what is read through it is summed
	raw    io.Reader
	sum    hash.Hash
	piece  []byte // what is left of the present one
	buffer []byte
	err    error

	proven, proof []byte // once the end was read
}

// NewReader reads the beginning of a snapshot. Errors wrap ErrNotSnapshot, ErrNewer, ErrTruncated or
// ErrDamaged, or are those of r.
func NewReader(r io.Reader) (*Reader, error) {
	s := &Reader{raw: r, sum: sha256.New()}
	s.in = io.TeeReader(r, s.sum)
	begin := make([]byte, len(magic))
	switch n, err := io.ReadFull(s.in, begin); {
	case isEnd(err) && n > 0 && bytes.HasPrefix([]byte(magic), begin[:n]):
		return nil, ErrTruncated
	case isEnd(err):
		return nil, ErrNotSnapshot
	case err != nil:
		return nil, fmt.Errorf("reading a snapshot: %w", err)
	case string(begin) != magic:
		return nil, ErrNotSnapshot
	}
	header, err := s.next(maxHeader)
	if err != nil {
		return nil, err
	}
	if s.header, err = decodeHeader(header); err != nil {
		return nil, err
	}
	return s, nil
}

// Header says what the snapshot is of. It is certain only once the content was read to its end.
func (s *Reader) Header() Header { return s.header }

// CheckProof returns ErrForged unless whoever holds the key of prove made the file. It is for a Reader that has
// reported the end of the content.
func (s *Reader) CheckProof(prove Prover) error {
	if !errors.Is(s.err, io.EOF) {
		return errors.New("a snapshot's proof is checked after its content was read to the end")
	}
	want, err := prove(s.proven)
	if err != nil {
		return fmt.Errorf("checking who made the snapshot: %w", err)
	}
	if !hmac.Equal(want, s.proof) {
		return ErrForged
	}
	return nil
}

// Read reads a part of the content.
func (s *Reader) Read(to []byte) (int, error) {
	for len(s.piece) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		if s.piece, s.err = s.next(maxPiece); s.err == nil && len(s.piece) == 0 {
			s.err = s.end()
		}
	}
	n := copy(to, s.piece)
	s.piece = s.piece[n:]
	return n, nil
}

// next reads a piece, which is valid until the next one is read.
func (s *Reader) next(most uint32) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(s.in, length[:]); err != nil {
		return nil, broken(err)
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > most {
		return nil, ErrDamaged
	}
	if uint32(cap(s.buffer)) < n {
		s.buffer = make([]byte, n)
	}
	s.buffer = s.buffer[:n]
	if _, err := io.ReadFull(s.in, s.buffer); err != nil {
		return nil, broken(err)
	}
	return s.buffer, nil
}

// end reads what comes after the content, and returns io.EOF when all is well.
func (s *Reader) end() error {
	s.proven, s.proof = s.sum.Sum(nil), make([]byte, proofSize)
	if _, err := io.ReadFull(s.in, s.proof); err != nil {
		return broken(err)
	}
	want := s.sum.Sum(nil)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(s.raw, got); err != nil {
		return broken(err)
	}
	if !bytes.Equal(want, got) {
		return ErrDamaged
	}
	switch _, err := io.ReadFull(s.raw, make([]byte, 1)); {
	case errors.Is(err, io.EOF):
		return io.EOF
	case err != nil:
		return fmt.Errorf("reading a snapshot: %w", err)
	}
	return fmt.Errorf("%w: something follows its end", ErrDamaged)
}

func isEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

func broken(err error) error {
	if isEnd(err) {
		return ErrTruncated
	}
	return fmt.Errorf("reading a snapshot: %w", err)
}

// Verify reads a snapshot to its end, and returns its header and how many bytes the content has when
// every byte of it is as it was written. Who wrote it is not known by that: see Reader.CheckProof.
func Verify(r io.Reader) (Header, int64, error) {
	s, err := NewReader(r)
	if err != nil {
		return Header{}, 0, err
	}
	n, err := io.Copy(io.Discard, s)
	if err != nil {
		return Header{}, n, err
	}
	return s.header, n, nil
}
