package snapshot

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash"
	"io"
)

const magic = "broker-snapshot\n"

// maxPiece is the longest piece of content.
const maxPiece = 256 << 10

// A Prover makes the proof that whoever holds its key made the file, 32 bytes, of the SHA-256 of everything before it.
type Prover func(sum []byte) ([]byte, error)

const proofSize = 32

// A Writer writes one snapshot. It is not safe for concurrent use.
type Writer struct {
	out   io.Writer
	sum   hash.Hash
	prove Prover
}

// NewWriter writes the beginning of a snapshot. The header's Format is set to the present one.
func NewWriter(w io.Writer, h Header, prove Prover) (*Writer, error) {
	h.Format = Format
	data, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encoding a snapshot's header: %w", err)
	}
	s := &Writer{sum: sha256.New(), prove: prove}
	s.out = io.MultiWriter(w, s.sum)
	if _, err := io.WriteString(s.out, magic); err != nil {
		return nil, fmt.Errorf("writing a snapshot: %w", err)
	}
	return s, s.piece(data)
}

// Write writes a part of the content.
func (s *Writer) Write(content []byte) (n int, err error) {
	for n < len(content) {
		part := content[n:min(len(content), n+maxPiece)]
		if err := s.piece(part); err != nil {
			return n, err
		}
		n += len(part)
	}
	return n, nil
}

// Close writes the end. A snapshot without it is refused by everybody. It does not close what is
// written to.
func (s *Writer) Close() error {
	if err := s.piece(nil); err != nil {
		return err
	}
	proof, err := s.prove(s.sum.Sum(nil))
	switch {
	case err != nil:
		return fmt.Errorf("proving who makes a snapshot: %w", err)
	case len(proof) != proofSize:
		return fmt.Errorf("proving who makes a snapshot: the proof has %d bytes, not %d", len(proof), proofSize)
	}
	if _, err := s.out.Write(proof); err != nil {
		return fmt.Errorf("writing a snapshot: %w", err)
	}
	if _, err := s.out.Write(s.sum.Sum(nil)); err != nil {
		return fmt.Errorf("writing a snapshot: %w", err)
	}
	return nil
}

func (s *Writer) piece(data []byte) error {
	_, err := s.out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(data))))
	if err == nil && len(data) > 0 {
		_, err = s.out.Write(data)
	}
	if err != nil {
		return fmt.Errorf("writing a snapshot: %w", err)
	}
	return nil
}
