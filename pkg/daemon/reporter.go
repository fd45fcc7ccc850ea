package daemon

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"kooperd.dev/kooperd/pkg/engine"
	"kooperd.dev/kooperd/pkg/reload"
	"kooperd.dev/kooperd/pkg/statusz"
)

// reporter is the statusz.Reporter of a process. It answers from memory.
type reporter struct {
	process *process
	started time.Time
}

var _ statusz.Reporter = (*reporter)(nil)

// newReporter is made when the process begins, and reports after its parts have been built.
func newReporter(p *process) *reporter { return &reporter{process: p, started: time.Now()} }

// Report implements statusz.Reporter.
func (r *reporter) Report(_ context.Context, items statusz.Items) *statusz.Report {
	p, from := r.process, engine.NewReporter(r.process.engine)
	report := &statusz.Report{
		Version: statusz.Version, Time: time.Now().UTC(),
		Process:    statusz.Process{Name: p.identity(), Version: Version(), Started: r.started.UTC()},
		Leadership: p.leadership(), Config: p.configReport(),
		Sources: from.Sources(), History: from.History(),
	}
	report.Ready, report.Awaited = p.board.Ready()
	report.Definitions, report.Objects = from.Definitions(items)
	return report
}

// Object implements statusz.Reporter.
func (r *reporter) Object(ctx context.Context, object statusz.ObjectRef) (*statusz.ObjectReport, bool) {
	report, found := engine.NewReporter(r.process.engine).Object(ctx, object)
	if !found {
		return nil, false
	}
	report.Version, report.Time, report.Leading = statusz.Version, time.Now().UTC(), r.process.leading()
	return report, true
}

// Search implements statusz.Reporter.
func (r *reporter) Search(_ context.Context, text string, limit int) (found []statusz.ObjectRef, more bool) {
	return engine.NewReporter(r.process.engine).Search(text, limit)
}

// identity is the name of this replica.
func (p *process) identity() string {
	if p.elector != nil {
		return p.elector.identity
	}
	if name := os.Getenv("POD_NAME"); name != "" {
		return name
	}
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}

// wantsLease reports whether the process leads or needs the lease: for a definition, or to store
// the config that was accepted. One that has needed it goes on competing when nothing needs it any
// more, which is no reason to miss a leader.
func (p *process) wantsLease() bool {
	return p.elector.Leading() || p.store != nil || p.engine.Has(engine.UnderLease)
}

// leadership is the lease as this replica sees it.
func (p *process) leadership() statusz.Leadership {
	if p.elector == nil {
		return statusz.Leadership{Disabled: true, Leading: true}
	}
	seen, looked := p.elector.Seen()
	return statusz.Leadership{
		Leading: p.elector.Leading(), Lease: p.elector.lease.Namespace + "/" + p.elector.lease.Name, Unread: !looked,
		Unneeded: !p.wantsLease(),
		Holder:   seen.Holder, Since: seen.Since, Renewed: seen.Renewed, Expired: seen.Expired,
	}
}

// configReport is what the definitions come from.
func (p *process) configReport() statusz.Config {
	from := slices.Clone(p.sources.paths)
	for _, name := range p.sources.maps {
		from = append(from, "configmap:"+name.String())
	}
	revisions := reload.RevisionsOf(p.reloader)
	report := statusz.Config{From: strings.Join(from, ", "), Running: revisions[0], Before: revisions[1:]}
	if refused := p.board.Refused(); refused.Total > 0 {
		report.Refused = &statusz.Refusal{
			Reason: refused.Reason(), Mistakes: slices.Clone(refused.Mistakes), MistakesTotal: refused.Total, Since: refused.Since,
		}
	}
	return report
}
