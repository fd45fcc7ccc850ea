package daemon

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"kooperd.dev/kooperd/pkg/telemetry"
)

// TestAnswerHangups has a SIGHUP from the time when the config was read, before anything ran: it is
// answered like one that comes later.
func TestAnswerHangups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		logger, err := telemetry.NewLogger(&out, telemetry.FormatText, 0)
		if err != nil {
			t.Fatal(err)
		}
		p := &process{logger: logger}
		ctx, end := context.WithCancel(t.Context())
		defer end()
		hangups := make(chan struct{}, 1)
		hangups <- struct{}{}
		ended := done(func() { p.answerHangups(ctx, hangups) })
		synctest.Wait()
		hangups <- struct{}{}
		synctest.Wait()
		if n := strings.Count(out.String(), "SIGHUP does nothing: the config is not read again"); n != 2 {
			t.Errorf("two notes were answered %d times:\n%s", n, out.String())
		}
		end()
		<-ended
	})
}
