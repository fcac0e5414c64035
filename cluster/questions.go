package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"broker/cluster/trust"
)

// AboutEnrolling is the question of a stranger with a join token: whether it may become a member. All others
// are asked by members.
const AboutEnrolling = "enrolling"

// AskLeader has the leader's Config.Questions answer a question, wherever it leads. Question and answer are JSON. It
// returns an error wrapping ErrNoLeader when there is none to ask, and one wrapping ErrJoinRefused where the
// answer was a final no.
func (n *Node) AskLeader(ctx context.Context, about string, question []byte) (json.RawMessage, error) {
	address, id, ok := n.leaderAddr()
	if !ok {
		return nil, ErrNoLeader
	}
	if id == n.self.Load().nodeID {
		return n.answerQuestion(ctx, about, question)
	}
	var answer json.RawMessage
	err := n.call(ctx, address, pathAsk+about, json.RawMessage(question), &answer)
	var refused *refusedError
	if errors.As(err, &refused) && refused.Final {
		err = JoinRefusal(err)
	}
	return answer, err
}

// handleQuestions answers as the leader what other members pass on.
func (n *Node) handleQuestions(mux *http.ServeMux) {
	mux.HandleFunc("POST "+pathAsk+"{about}", func(w http.ResponseWriter, req *http.Request) {
		question, err := readBody(req)
		if err != nil {
			reply(w, nil, err)
			return
		}
		answer, err := n.answerQuestion(req.Context(), req.PathValue("about"), question)
		reply(w, answer, err)
	})
}

func (n *Node) answerQuestion(ctx context.Context, about string, question []byte) (json.RawMessage, error) {
	switch {
	case !n.LeaderReady():
		return nil, ErrNotLeader
	case n.cfg.Questions == nil:
		return nil, errors.New("this node answers no questions")
	}
	return n.cfg.Questions(ctx, about, question)
}

// Enroll asks members of a cluster to let a node in that is none yet, until one answers, the cluster refuses or ctx
// ends. The cluster is known by the fingerprint of its authority, which whoever answers must belong to.
func Enroll(ctx context.Context, addresses []string, authority trust.Fingerprint, timing Timing, log *slog.Logger, question, answer any) error {
	client := &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return DialPinned(ctx, address, authority, time.Now())
		},
		DisableKeepAlives: true,
	}
	return askAgain(ctx, addresses, timing.withDefaults(), log, func(ctx context.Context, address string) error {
		return callOver(ctx, client, address, pathEnroll, question, answer)
	})
}

func readBody(req *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(req.Body, maxInternalBody))
	if err != nil {
		return nil, fmt.Errorf("reading the request: %w", err)
	}
	return body, nil
}

type peerKey struct{}

// withPeer remembers which member a connection comes from.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	if peer, known := peerOf(conn); known {
		return context.WithValue(ctx, peerKey{}, peer)
	}
	return ctx
}

// peerFrom returns the member that a request comes from, where the network knows.
func peerFrom(ctx context.Context) (peer string, known bool) {
	peer, known = ctx.Value(peerKey{}).(string)
	return peer, known
}
