package daemon

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kooperd.dev/kooperd/pkg/statusz"
)

// watching is a command with --watch that gets these answers, an error for each that has no report.
// The last one ends it, as Ctrl-C does.
func watching(t *testing.T, format string, term terminal, answers ...statusAnswer) (stdout, stderr string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		defer end()
		var out, errs bytes.Buffer
		r := &statusRun{
			flags:  statusFlags{watch: true, interval: 2 * time.Second, format: format},
			stdout: &out, stderr: &errs, terminal: func() terminal { return term },
		}
		began := time.Now()
		next := 0
		r.asks = func(context.Context) (statusAnswer, error) {
			next++
			if want := time.Duration(next) * r.flags.interval; time.Since(began) != want {
				t.Errorf("answer %d is asked for after %s, want %s", next, time.Since(began), want)
			}
			if next == len(answers) {
				end()
				return statusAnswer{}, ctx.Err()
			}
			if answers[next].report == nil {
				return statusAnswer{}, errors.New(answers[next].note)
			}
			return answers[next], nil
		}
		if err := r.follow(ctx, answers[0]); err != nil {
			t.Errorf("it ends with %v, want no error", err)
		}
		stdout, stderr = out.String(), errs.String()
	})
	return stdout, stderr
}

func smallAnswer(name string) statusAnswer {
	return statusAnswer{
		report: &statusz.Report{Time: reportTime, Ready: true, Process: statusz.Process{Name: name, Version: "v1"},
			Leadership: statusz.Leadership{Disabled: true}, History: statusz.History{Enabled: true}},
		raw: []byte("{\n \"process\": \"" + name + "\"\n}\n"),
	}
}

func TestWatchInAPipe(t *testing.T) {
	moved := smallAnswer("two")
	moved.note = "one does not lead any more"
	stdout, stderr := watching(t, formatText, terminal{}, smallAnswer("one"), statusAnswer{note: "no answer"}, moved, smallAnswer("three"))
	golden(t, "watch.txt", stdout)
	if want := "kooperd: no answer\nkooperd: one does not lead any more\n"; stderr != want {
		t.Errorf("standard error is %q, want %q", stderr, want)
	}
}

func TestWatchAsJSON(t *testing.T) {
	stdout, _ := watching(t, formatJSON, terminal{is: true, colors: true, width: 80, height: 24}, smallAnswer("one"), smallAnswer("two"))
	if want := "{\"process\":\"one\"}\n{\"process\":\"two\"}\n"; stdout != want {
		t.Errorf("standard output is %q, want %q", stdout, want)
	}
}

func TestWatchOnATerminal(t *testing.T) {
	whole := statusAnswer{report: leaderReport()}
	stdout, stderr := watching(t, formatText, terminal{is: true, width: 60, height: 8}, whole, statusAnswer{note: "no answer"}, smallAnswer("two"))
	golden(t, "watch-terminal.txt", strings.NewReplacer("\x1b", "^", "\r", "").Replace(stdout))
	if stderr != "" {
		t.Errorf("standard error is %q, want nothing", stderr)
	}
	if !strings.HasPrefix(stdout, enterScreen) || !strings.HasSuffix(stdout, leaveScreen) {
		t.Errorf("the second screen is not entered and left: %q", stdout)
	}
	for _, frame := range strings.Split(stdout, goHome)[1:] {
		if lines := strings.Count(frame, "\n"); lines > 7 {
			t.Errorf("%d lines are shown on a terminal with 8: %q", lines, frame)
		}
	}
}

// TestNotesOnATerminal has notes while the second screen is shown, with an answer and without.
func TestNotesOnATerminal(t *testing.T) {
	var out, errs bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		defer end()
		r := &statusRun{
			flags:  statusFlags{watch: true, interval: time.Second, format: formatText},
			stdout: &out, stderr: &errs, terminal: func() terminal { return terminal{is: true, width: 200, height: 40} },
		}
		asked := 0
		r.asks = func(context.Context) (statusAnswer, error) {
			asked++
			switch asked {
			case 1:
				r.note("one may have gone")
				r.note("one may have gone")
				moved := smallAnswer("two")
				moved.note = "one does not lead any more"
				return moved, nil
			case 2:
				r.note("two may have gone")
				return statusAnswer{}, errors.New("no answer")
			}
			end()
			return statusAnswer{}, ctx.Err()
		}
		if err := r.follow(ctx, smallAnswer("one")); err != nil {
			t.Error(err)
		}
		r.note("it is over")
	})
	for _, want := range []string{
		"\r\none may have gone; one does not lead any more" + clearLine, "\r\nno answer since then: no answer; two may have gone" + clearLine,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the screen lacks %q: %q", want, out.String())
		}
	}
	if want := "kooperd: it is over\n"; errs.String() != want {
		t.Errorf("standard error is %q, want %q", errs.String(), want)
	}
}
