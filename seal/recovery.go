package seal

import (
	"bytes"
	"crypto/hpke"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// recoveryKeySize is the length of the private key that the shares make.
const recoveryKeySize = 32

// Recovery is a keyring wrapped for a public key whose private half only the shares make. The public half stays, so
// that another keyring can be wrapped for the same shares.
type Recovery struct {
	Wrapped   []byte
	Shares    int
	Threshold int
	Split     []byte // names the splitting
	Public    []byte
}

// ErrRecovery is returned when the shares together do not open what was wrapped.
var ErrRecovery = errors.New("these shares do not open this snapshot's keyring")

// recoveryKEM is X25519 together with ML-KEM-768: what is wrapped lies in snapshots that are kept for years.
func recoveryKEM() hpke.KEM { return hpke.MLKEM768X25519() }

// NewRecovery makes a key pair for a cluster, splits its private half and forgets it, and wraps the keyring for it.
func (k *Keyring) NewRecovery(clusterID string, shares, threshold int, random io.Reader) (Recovery, []Share, error) {
	fresh := make([]byte, recoveryKeySize+splitSize)
	if _, err := io.ReadFull(random, fresh); err != nil {
		return Recovery{}, nil, fmt.Errorf("making a recovery key: %w", err)
	}
	defer clear(fresh)
	key := fresh[:recoveryKeySize]
	private, err := recoveryKEM().NewPrivateKey(key)
	if err != nil {
		return Recovery{}, nil, fmt.Errorf("making a recovery key: %w", err)
	}
	r := Recovery{Shares: shares, Threshold: threshold, Split: bytes.Clone(fresh[recoveryKeySize:]), Public: private.PublicKey().Bytes()}
	values, err := split(key, shares, threshold, random)
	if err != nil {
		return Recovery{}, nil, err
	}
	if r, err = r.Wrap(clusterID, k.File()); err != nil {
		return Recovery{}, nil, err
	}
	list := make([]Share, shares)
	for i, value := range values {
		list[i] = Share{number: byte(i + 1), cluster: clusterHint(clusterID), split: r.Split, value: value}
	}
	return r, list, nil
}

// Wrap wraps another keyring of the cluster for the same shares. It needs none of them.
func (r Recovery) Wrap(clusterID string, file KeyFile) (Recovery, error) {
	public, err := recoveryKEM().NewPublicKey(r.Public)
	if err != nil {
		return r, fmt.Errorf("reading the public recovery key: %w", err)
	}
	r.Wrapped, err = hpke.Seal(public, hpke.HKDFSHA256(), hpke.AES256GCM(), recoveryRecord(clusterID, r.Split), file)
	if err != nil {
		return r, fmt.Errorf("wrapping the keyring for the recovery shares: %w", err)
	}
	return r, nil
}

// Open returns the content of the key file that was wrapped. Errors wrap ErrShare for shares that are too
// few or do not go together, and ErrRecovery when they do and still do not open it.
func (r Recovery) Open(clusterID string, shares []Share) (KeyFile, error) {
	var numbers []byte
	var values [][]byte
	for i, s := range shares {
		if err := CheckShare(s, clusterID, r.Split, shares[:i]); err != nil {
			return nil, err
		}
		numbers, values = append(numbers, s.number), append(values, s.value)
	}
	if len(shares) < r.Threshold {
		return nil, fmt.Errorf("%w: %d of the %d shares are needed, and %d given", ErrShare, r.Threshold, r.Shares, len(shares))
	}
	key, err := combine(numbers, values)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrShare, err)
	}
	defer clear(key)
	private, err := recoveryKEM().NewPrivateKey(key)
	if err != nil || !bytes.Equal(private.PublicKey().Bytes(), r.Public) {
		return nil, ErrRecovery
	}
	file, err := hpke.Open(private, hpke.HKDFSHA256(), hpke.AES256GCM(), recoveryRecord(clusterID, r.Split), r.Wrapped)
	if err != nil {
		return nil, ErrRecovery
	}
	return file, nil
}

// recoveryRecord is what a wrapped keyring is bound to.
func recoveryRecord(clusterID string, split []byte) []byte {
	return []byte("broker recovery 2:" + hex.EncodeToString(split) + ":" + clusterID)
}
