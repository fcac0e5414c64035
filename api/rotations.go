package api

import (
	"context"
	"net/http"

	"broker/api/types"
	"broker/fsm"
)

// ConnectionRotate asks for a new root credential.
type ConnectionRotate struct {
	ConnectionPath
	Keyed
}

// RotationCancel asks for a rotation to be given up.
type RotationCancel struct {
	ConnectionPath
	Keyed
	Body types.RotationCancel
}

func (s *Server) rotateConnection(ctx context.Context, c *call, in *ConnectionRotate) (*created[types.Connection], error) {
	rotation, err := s.config.Broker.RotateConnection(ctx, c.request(in.DryRun), in.name())
	if err != nil {
		return nil, err
	}
	shown, err := s.rotatedConnection(c, rotation, nil)
	status := http.StatusOK
	if rotation.Running() && !in.DryRun {
		status = http.StatusAccepted
	}
	return &created[types.Connection]{status, shown}, err
}

func (s *Server) cancelRotation(ctx context.Context, c *call, in *RotationCancel) (*body[types.Connection], error) {
	rotation, warnings, err := s.config.Broker.CancelRotation(ctx, c.request(in.DryRun), in.name(), in.Body.Reason)
	if err != nil {
		return nil, err
	}
	shown, err := s.rotatedConnection(c, rotation, warnings)
	return &body[types.Connection]{shown}, err
}

// rotatedConnection shows a connection with a rotation that the broker has just made or changed, or would.
func (s *Server) rotatedConnection(c *call, rotation fsm.Rotation, warnings []string) (types.Connection, error) {
	var shown types.Connection
	err := s.view(c, func(view View) error {
		found, ok := view.Connection(rotation.Connection)
		if !ok {
			return notFound("connection", string(rotation.Connection))
		}
		c.setVersion(found.Version)
		var err error
		shown, err = s.connectionOf(view, found)
		return err
	})
	shown.Rotation = rotationOf(rotation)
	shown.Warnings = append(shown.Warnings, warnings...)
	return shown, err
}

func rotationOf(r fsm.Rotation) *types.Rotation {
	return &types.Rotation{
		State: string(r.State), Since: r.BeganAt.Time(), By: string(r.By.Account),
		EndedAt: instant(r.EndedAt), RotatedAt: instant(r.RotatedAt), NextTryAt: instant(r.NextTryAt),
		Attempts: r.Attempts, Error: r.LastError, Reason: r.Reason,
	}
}
