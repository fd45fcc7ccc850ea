package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/go-logr/logr"
)

// gatherLog is how promhttp tells of collectors that went wrong.
type gatherLog struct{ logger logr.Logger }

// Println implements promhttp.Logger.
func (l gatherLog) Println(v ...any) {
	l.logger.Error(errors.New(strings.TrimSpace(fmt.Sprintln(v...))), "gathering metrics")
}

// serverLog is how net/http tells of what it cannot tell a client. Handshakes that fail are V(1):
// any stranger can cause them, with a probe of the port that sends nothing.
type serverLog struct{ logger logr.Logger }

// Enabled implements slog.Handler.
func (l serverLog) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (l serverLog) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "TLS handshake error") {
		l.logger.V(1).Info("TLS handshake did not succeed", "err", r.Message)
		return nil
	}
	l.logger.Error(errors.New(r.Message), "serving HTTP")
	return nil
}

// WithAttrs implements slog.Handler.
func (l serverLog) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup implements slog.Handler.
func (l serverLog) WithGroup(string) slog.Handler { return l }
