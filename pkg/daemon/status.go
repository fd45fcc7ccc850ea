package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/spf13/cobra"
)

// statusFlags are the settings of the command status.
type statusFlags struct {
	watch    bool
	interval time.Duration
	objects  int
	all      bool
	format   string
	replica  replicaFlags
}

const statusLong = `status shows what kooperd is doing now: who leads and for how long, which config runs, the objects that need somebody's
attention, every definition, and every watch.

Of a definition it shows the state and since when it is in it, the objects whose turn it is with how long the first of them has
waited (WAITING), those that are handled later (LATER: retries and requeues), the workers that are in a call of all there are
(BUSY), and of the calls of the last minutes how many there are in a second or minute (CALLS), how many have failed (FAILED),
and how long they took (P50, P99). Those that need somebody come first. Where there are more than 20, others that run are only
counted; --all shows every one, and -o json always has all.

` + replicaLong + `

With --watch it is shown again and again until Ctrl-C, on a terminal in the same place. When the leader changes, the new one is
asked. With -o json each time is one line.

Exit status: 0 it was shown, 1 there is no answer, 2 bad usage.`

func newStatusCommand() *cobra.Command {
	var flags statusFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what kooperd is doing",
		Long:  statusLong,
		Example: "  kooperd status\n" +
			"  kooperd status --namespace kooper-system --watch\n" +
			"  kooperd status --address 127.0.0.1:8081 -o json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := flags.check(cmd); err != nil {
				return err
			}
			return runStatus(cmd, flags)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&flags.watch, "watch", "w", false, "show it again and again, until Ctrl-C")
	f.DurationVar(&flags.interval, "interval", 2*time.Second, "with --watch, how long to wait before it is shown again")
	f.IntVar(&flags.objects, "objects", 10, "how many objects that need attention are shown, of each kind of trouble")
	f.BoolVar(&flags.all, "all", false, "show all definitions, however many there are")
	f.StringVarP(&flags.format, "format", "o", formatText, "text or json")
	flags.replica.add(f)
	return cmd
}

// check looks at the flags alone.
func (f *statusFlags) check(cmd *cobra.Command) error {
	switch {
	case cmd.Flags().Changed("interval") && !f.watch:
		return errors.New("--interval is for --watch")
	case f.interval < 100*time.Millisecond:
		return fmt.Errorf("--interval is %s, want 100ms or more", f.interval)
	case f.objects < 0 || f.objects > maxReportItems:
		return fmt.Errorf("--objects is %d, want a number from 0 to %d", f.objects, maxReportItems)
	}
	if err := checkFormat(f.format, formatText, formatJSON); err != nil {
		return err
	}
	return f.replica.check(cmd.Flags())
}

// few is how many definitions are shown in any case.
func (f *statusFlags) few() int {
	if f.all {
		return math.MaxInt
	}
	return fewDefinitions
}

// statusRun is one run of the command.
type statusRun struct {
	flags    statusFlags
	asks     func(ctx context.Context) (statusAnswer, error)
	terminal func() terminal // standard output, as large as it is now
	stdout   io.Writer
	stderr   io.Writer
	held     heldNotes
}

func runStatus(cmd *cobra.Command, flags statusFlags) error {
	r := &statusRun{flags: flags, stdout: cmd.OutOrStdout(), stderr: cmd.ErrOrStderr()}
	r.terminal = func() terminal { return newTerminal(r.stdout) }
	finder, err := newReplicaFinder(flags.replica, r.note)
	if err != nil {
		return err
	}
	if err := silence(); err != nil {
		return &runError{err}
	}
	asker := &statusAsker{finder: finder, stderr: r.stderr, objects: flags.objects}
	defer asker.leave()
	r.asks = asker.ask
	answer, err := r.asks(cmd.Context())
	if err != nil {
		return &runError{errors.New(plain(err.Error()))}
	}
	if flags.watch && r.redraws() {
		asker.stderr = io.Discard // It would be written into the picture.
	}
	if flags.watch {
		return r.follow(cmd.Context(), answer)
	}
	return r.print(answer)
}

// note says something that is not the answer: at once, or in the picture that is redrawn.
func (r *statusRun) note(text string) {
	if !r.held.add(text) {
		_, _ = fmt.Fprintf(r.stderr, "kooperd: %s\n", plain(text))
	}
}

// print shows an answer once.
func (r *statusRun) print(answer statusAnswer) error {
	if answer.note != "" {
		r.note(answer.note)
	}
	if r.flags.format == formatJSON {
		return writeRawJSON(r.stdout, answer.raw, !r.flags.watch)
	}
	s := &sheet{terminal: r.terminal()}
	writeStatus(s, answer.report, r.flags.few())
	return s.write(r.stdout)
}
