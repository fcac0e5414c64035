package fsm

import (
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// codec holds the one way records and commands are written and read: deterministic on the way out,
// strict on the way in, because a field that a node does not know is a format it must not guess at.
type codec struct {
	enc cbor.EncMode
	dec cbor.DecMode
}

var theCodec = newCodec()

func newCodec() codec {
	enc, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(fmt.Sprintf("building the CBOR encoder: %v", err))
	}
	dec, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		MaxNestedLevels:   16,
		MaxArrayElements:  1 << 20,
		MaxMapPairs:       1 << 16,
		// What was encoded must decode: a text with a broken character in it, committed, would stop every
		// node, and again at each start.
		UTF8: cbor.UTF8DecodeInvalid,
	}.DecMode()
	if err != nil {
		panic(fmt.Sprintf("building the CBOR decoder: %v", err))
	}
	return codec{enc, dec}
}

func encode(v any) ([]byte, error)    { return theCodec.enc.Marshal(v) }
func decode(data []byte, v any) error { return theCodec.dec.Unmarshal(data, v) }
