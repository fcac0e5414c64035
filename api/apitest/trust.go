package apitest

import (
	"time"

	"broker/cluster/trust"
	"broker/fsm"
)

// authority is the cluster's, as far as the API sees it: nothing is sealed.
type authority struct{ *trust.Authority }

func newAuthority() (authority, error) {
	made, err := trust.NewAuthority("01TESTCLUSTER", time.Now())
	return authority{made}, err
}

func (a authority) NewJoinToken() (string, []byte, error) {
	token := trust.NewJoinToken(trust.FingerprintOf(a.Certificate()))
	return token.Reveal(), token.Hash(), nil
}

func (a authority) NextAuthority() (fsm.RotateAuthority, error) {
	next, err := newAuthority()
	if err != nil {
		return fsm.RotateAuthority{}, err
	}
	adopted, err := a.Adopt(next.Authority)
	return fsm.RotateAuthority{Certificate: next.Certificate(), Sealed: []byte("sealed"), Adopted: adopted}, err
}

func (a authority) NextGossipKey() ([]byte, error) { return []byte("sealed"), nil }
