package ssh

import (
	"encoding/binary"
	"time"
)

// What a key revocation list is made of; see PROTOCOL.krl in OpenSSH's source.
const (
	krlMagic               = 0x5353484b524c0a00 // "SSHKRL\n\0"
	krlFormat              = 1
	krlSectionCertificates = 1
	krlSerialList          = 0x20
)

// revocationList writes a key revocation list of certificates by their serial numbers, which are sorted. It names no
// authority, so that it holds for those of every one: a certificate of an authority that was replaced stays revoked for as
// long as hosts trust that one.
func revocationList(serials []uint64, now time.Time) []byte {
	list := binary.BigEndian.AppendUint64(nil, krlMagic)
	list = binary.BigEndian.AppendUint32(list, krlFormat)
	list = binary.BigEndian.AppendUint64(list, uint64(now.Unix())) // version: a later list is greater
	list = binary.BigEndian.AppendUint64(list, uint64(now.Unix())) // when it was made
	list = binary.BigEndian.AppendUint64(list, 0)                  // flags: there are none
	list = appendString(list, nil)                                 // reserved
	list = appendString(list, nil)                                 // comment
	if len(serials) == 0 {
		return list
	}
	numbers := make([]byte, 0, 8*len(serials))
	for _, number := range serials {
		numbers = binary.BigEndian.AppendUint64(numbers, number)
	}
	section := appendString(nil, nil)    // the authority: every one
	section = appendString(section, nil) // reserved
	section = append(section, krlSerialList)
	section = appendString(section, numbers)
	list = append(list, krlSectionCertificates)
	return appendString(list, section)
}

// appendString appends a text with its length before it, as in the SSH protocol.
func appendString(to, text []byte) []byte {
	return append(binary.BigEndian.AppendUint32(to, uint32(len(text))), text...)
}
