package daemon

import (
	"context"
	"fmt"
	"io"

	"kooperd.dev/kooperd/pkg/statusz"
)

// statusAnswer is what a replica says, as it was read and as it was sent.
type statusAnswer struct {
	report *statusz.Report
	raw    []byte
	note   string // what is to be said beside it; empty for nothing
}

// statusAsker asks a replica for its report, again and again.
type statusAsker struct {
	finder  *replicaFinder
	stderr  io.Writer
	objects int
	// replica is the one that has answered last; nil if there is none.
	replica *replica
}

// ask asks the replica, or finds one first. One that does not answer, or does not lead any more, is
// left for the next time.
func (a *statusAsker) ask(ctx context.Context) (statusAnswer, error) {
	var answer statusAnswer
	var answered *replica
	before := a.replica
	a.replica = nil
	err := a.finder.within(ctx, a.stderr, func(ctx context.Context) (err error) {
		asked := before
		if asked == nil {
			if asked, err = a.finder.open(ctx); err != nil {
				return err
			}
		}
		if answer.report, answer.raw, err = asked.report(ctx, a.objects); err != nil {
			asked.close()
			return err
		}
		if ctx.Err() != nil { // Nobody waits for the answer any more.
			asked.close()
			return ctx.Err()
		}
		answered = asked
		return nil
	})
	if err != nil {
		return statusAnswer{}, err
	}
	a.replica = answered
	answer.note = answered.differs(answer.report)
	if answer.note != "" {
		a.leave()
	}
	return answer, nil
}

// leave closes the connection to the replica.
func (a *statusAsker) leave() {
	if a.replica != nil {
		a.replica.close()
		a.replica = nil
	}
}

// differs says that another one has answered than the leader, or that it has stopped leading; ""
// when all is as it was looked for.
func (r *replica) differs(report *statusz.Report) string {
	switch {
	case r.holder == "":
		return ""
	case report.Process.Name != r.holder:
		return fmt.Sprintf("the lease is held by %s, and %s has answered", r.holder, report.Process.Name)
	case !report.Leadership.Leading:
		return fmt.Sprintf("%s does not lead any more", r.holder)
	}
	return ""
}
