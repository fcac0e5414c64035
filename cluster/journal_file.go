package cluster

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// openJournalFile opens a file, or makes one that has its blocks. A file never has less than it was made
// with: one that has was cut short, and nobody knows what stood there.
func openJournalFile(path string, size int64) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if err == nil {
		info, err := f.Stat()
		if err == nil && info.Size() < size {
			err = fmt.Errorf("%w: %s was cut short, %d bytes of %d are left, and entries that were acknowledged may be lost: %s", ErrDamaged, path, info.Size(), size, startAnew)
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return f, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err := writeSynced(path+".tmp", make([]byte, size)); err != nil {
		return nil, err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return nil, err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR, 0o600)
}

// journalContent is what a file holds.
type journalContent struct {
	generation uint64 // 0: nothing was ever written
	entries    []*raft.Log
}

// readJournal reads the records of a file up to its end, or to one that a crash cut short. A record that
// is damaged and has another one behind it was on disk once, so that entries are lost: an error.
func readJournal(f *os.File) (content journalContent, err error) {
	info, err := f.Stat()
	if err != nil {
		return content, err
	}
	data := make([]byte, info.Size())
	if _, err := f.ReadAt(data, 0); err != nil {
		return content, err
	}
	at := 0
	for {
		generation, payload, size := readRecord(data[at:])
		if size == 0 || content.generation != 0 && generation != content.generation {
			break
		}
		entries, err := decodeJournal(payload)
		if err != nil {
			return content, fmt.Errorf("%w: the record at %d cannot be read (%w): %s", ErrDamaged, at, err, startAnew)
		}
		content.generation = generation
		content.entries = append(content.entries, entries...)
		at += size
	}
	// A file begins with a record from its first use on: when there is none, any behind it counts.
	for behind := at + journalSector; behind < len(data); behind += journalSector {
		if generation, _, size := readRecord(data[behind:]); size != 0 && (generation == content.generation || content.generation == 0) {
			return content, fmt.Errorf("%w: damaged at %d, with entries behind that were acknowledged: %s", ErrDamaged, at, startAnew)
		}
	}
	return content, nil
}

// readRecord returns the record at the beginning of data and what it takes up; size 0: there is none.
func readRecord(data []byte) (generation uint64, payload []byte, size int) {
	if len(data) < journalHeader {
		return 0, nil, 0
	}
	generation = binary.BigEndian.Uint64(data)
	length := int(binary.BigEndian.Uint32(data[8:]))
	if generation == 0 || length > len(data)-journalHeader {
		return 0, nil, 0
	}
	payload = data[journalHeader : journalHeader+length]
	if binary.BigEndian.Uint32(data[12:]) != checksum(data[:12], payload) {
		return 0, nil, 0
	}
	return generation, payload, sectors(journalHeader + length)
}

func checksum(header, payload []byte) uint32 {
	return crc32.Update(crc32.Checksum(header, castagnoli), castagnoli, payload)
}

func sectors(n int) int { return (n + journalSector - 1) / journalSector * journalSector }

// encodeJournal makes buf one record.
func encodeJournal(buf *bytes.Buffer, generation uint64, entries []*raft.Log) {
	buf.Reset()
	buf.Write(make([]byte, journalHeader))
	var n []byte
	for _, e := range entries {
		n = binary.AppendUvarint(n[:0], e.Index)
		n = binary.AppendUvarint(n, e.Term)
		n = append(n, byte(e.Type))
		var at int64
		if !e.AppendedAt.IsZero() {
			at = e.AppendedAt.UnixNano()
		}
		n = binary.AppendVarint(n, at)
		n = binary.AppendUvarint(n, uint64(len(e.Data)))
		buf.Write(n)
		buf.Write(e.Data)
		buf.Write(binary.AppendUvarint(n[:0], uint64(len(e.Extensions))))
		buf.Write(e.Extensions)
	}
	length := buf.Len() - journalHeader
	buf.Write(make([]byte, sectors(buf.Len())-buf.Len()))
	record := buf.Bytes()
	binary.BigEndian.PutUint64(record, generation)
	binary.BigEndian.PutUint32(record[8:], uint32(length))
	binary.BigEndian.PutUint32(record[12:], checksum(record[:12], record[journalHeader:journalHeader+length]))
}

func decodeJournal(payload []byte) (entries []*raft.Log, err error) {
	r := bytes.NewReader(payload)
	number := func() (n uint64) {
		if err == nil {
			n, err = binary.ReadUvarint(r)
		}
		return n
	}
	text := func() []byte {
		n := number()
		if err != nil || n > uint64(r.Len()) {
			err = errors.Join(err, errors.New("a length is wrong"))
			return nil
		}
		if n == 0 {
			return nil
		}
		data := make([]byte, n)
		_, err = r.Read(data)
		return data
	}
	for r.Len() > 0 && err == nil {
		e := &raft.Log{Index: number(), Term: number()}
		if err == nil {
			var kind byte
			kind, err = r.ReadByte()
			e.Type = raft.LogType(kind)
		}
		if err == nil {
			var at int64
			if at, err = binary.ReadVarint(r); at != 0 {
				e.AppendedAt = time.Unix(0, at)
			}
		}
		e.Data = text()
		e.Extensions = text()
		entries = append(entries, e)
	}
	return entries, err
}
