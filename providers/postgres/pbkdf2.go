package postgres

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"hash"
	"sync"
)

// saltedPassword is PBKDF2 with HMAC-SHA-256 (RFC 8018, 5.2) and one block of output: Hi() of SCRAM
// (RFC 5802, 2.2). It is most of what a login costs the broker. Package crypto/pbkdf2 hashes through
// hash.Hash, which pads and copies with each of the thousands of steps; here a whole block, padded once,
// goes in each time, and the state is taken out as it is. That takes a third less time.
//
// How a state is written out is the business of crypto/sha256, so that the result is compared with
// crypto/pbkdf2's once; should they ever differ, that one is used.
func saltedPassword(password string, salt []byte, iterations int) ([]byte, error) {
	if !wholeBlocksWork() {
		return pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	}
	return byWholeBlocks(password, salt, iterations)
}

var wholeBlocksWork = sync.OnceValue(func() bool {
	const password, iterations = "a password to compare with", 3
	salt := []byte("0123456789abcdef")
	want, wantErr := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	got, err := byWholeBlocks(password, salt, iterations)
	return err == nil && wantErr == nil && bytes.Equal(got, want)
})

// stateAt is where the state's eight words begin in what crypto/sha256 writes out.
const stateAt = 4

// state is a hash whose state can be written out and brought back.
type state interface {
	hash.Hash
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

// byWholeBlocks takes passwords that fit into one block, as ours do; of others HMAC uses the hash.
func byWholeBlocks(password string, salt []byte, iterations int) ([]byte, error) {
	h, ok := sha256.New().(state)
	if !ok || len(password) > sha256.BlockSize || iterations < 1 {
		return pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	}
	// HMAC begins with a block of the key, xored with one byte inside and another outside.
	inside, err := keyed(h, password, 0x36)
	if err != nil {
		return nil, err
	}
	outside, err := keyed(h, password, 0x5c)
	if err != nil {
		return nil, err
	}

	// The first step is over salt and block number.
	if err := h.UnmarshalBinary(inside); err != nil {
		return nil, err
	}
	h.Write(salt)
	h.Write([]byte{0, 0, 0, 1})
	first := h.Sum(nil)
	if err := h.UnmarshalBinary(outside); err != nil {
		return nil, err
	}
	h.Write(first)
	u := h.Sum(nil)
	result := bytes.Clone(u)

	// Every other one is over a hash: this much, its padding, and the length with the key's block.
	var block [sha256.BlockSize]byte
	copy(block[:], u)
	block[sha256.Size] = 0x80
	binary.BigEndian.PutUint64(block[sha256.BlockSize-8:], (sha256.BlockSize+sha256.Size)*8)
	var out []byte
	for range iterations - 1 {
		for _, begin := range [][]byte{inside, outside} {
			if err := h.UnmarshalBinary(begin); err != nil {
				return nil, err
			}
			h.Write(block[:])
			if out, err = h.AppendBinary(out[:0]); err != nil {
				return nil, err
			}
			copy(block[:sha256.Size], out[stateAt:])
		}
		for i := 0; i < sha256.Size; i += 8 {
			x := binary.NativeEndian.Uint64(result[i:]) ^ binary.NativeEndian.Uint64(block[i:])
			binary.NativeEndian.PutUint64(result[i:], x)
		}
	}
	return result, nil
}

// keyed returns the state after the key's block.
func keyed(h state, key string, pad byte) ([]byte, error) {
	var block [sha256.BlockSize]byte
	copy(block[:], key)
	for i := range block {
		block[i] ^= pad
	}
	h.Reset()
	h.Write(block[:])
	return h.AppendBinary(nil)
}
