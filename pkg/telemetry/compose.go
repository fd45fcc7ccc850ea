package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// passDurations are the buckets of a pass: mostly no request, or a few.
var passDurations = []float64{.001, .01, .05, .25, 1, 10}

// The values of the label state of children, and of patches.
var (
	childStates = []string{"ready", "notReady", "refused"}
	patchStates = []string{"applied", "waiting", "refused"}
)

// obstacles are the values of the label by of what is refused.
var obstacles = []string{"rights", "admission", "other"}

// composeVectors are the metrics of all composers. A definition has series from the moment on when
// it is known to be one.
type composeVectors struct {
	passes    *prometheus.HistogramVec
	applies   *prometheus.CounterVec
	deletes   *prometheus.CounterVec
	recreates *prometheus.CounterVec
	skips     *prometheus.CounterVec
	statuses  *prometheus.CounterVec
	refusals  *prometheus.CounterVec
	errors    *prometheus.CounterVec
	children  *prometheus.GaugeVec
	held      *prometheus.GaugeVec
	paused    *prometheus.GaugeVec
	moving    *prometheus.GaugeVec
	fights    *prometheus.GaugeVec
	patches   patchVectors
	obstacles *prometheus.GaugeVec
}

// patchVectors are those about patches.
type patchVectors struct {
	states *prometheus.GaugeVec
	writes *prometheus.CounterVec
}

// Reasons that a metric may have, as pkg/compose names them.
var (
	applyReasons   = []string{"Absent", "Adopted", "Changed", "Drift", "Moved"}
	patchReasons   = []string{"Changed", "Drift", "Withdrawn"}
	refusalReasons = []string{"Foreign", "OtherParent", "Duplicate", "Order"}
	errorReasons   = []string{
		"Conflict", "Forbidden", "Invalid", "NamespaceTerminating", "NotFound", "NotServed", "QuotaExceeded", "Stale", "Unavailable",
	}
)

func newComposeVectors(d *definitionVectors) composeVectors {
	return composeVectors{
		passes: ofDefinitions(d, histogram("kooperd_compose_pass_duration_seconds",
			"Time to bring the children of one parent in line.", passDurations, labelController)),
		applies: ofDefinitions(d, counter("kooperd_compose_applies_total",
			"Children applied, by why: they were absent, what is desired has changed, another party had changed them, or another definition had made them.",
			labelController, "reason"), applyReasons...),
		deletes: ofDefinitions(d, counter("kooperd_compose_deletes_total",
			"Children deleted because they were not desired any more.", labelController)),
		recreates: ofDefinitions(d, counter("kooperd_compose_recreates_total",
			"Children deleted to be made anew, because they could not be changed.", labelController)),
		skips: ofDefinitions(d, counter("kooperd_compose_skips_total",
			"Children looked at that were as desired, so that nothing was sent.", labelController)),
		statuses: ofDefinitions(d, counter("kooperd_compose_status_writes_total",
			"Writes of the status of parents.", labelController)),
		refusals: ofDefinitions(d, counter("kooperd_compose_refusals_total",
			"Objects left alone because they are not provably children of that parent, or the composer's answer contradicts itself.",
			labelController, "reason"), refusalReasons...),
		errors: ofDefinitions(d, counter("kooperd_compose_errors_total",
			"Requests about children that failed, by why.", labelController, "reason"), errorReasons...),
		children: ofDefinitions(d, gauge("kooperd_compose_children",
			"Children by state, as the last call for their parent has left them; 0 on a standby.", labelController, "state"),
			childStates...),
		held: ofDefinitions(d, gauge("kooperd_compose_prune_held_parents",
			"Parents with children that are not desired any more and not deleted, because too many children would go at once.",
			labelController)),
		paused: ofDefinitions(d, gauge("kooperd_compose_paused_parents",
			"Parents that are left alone because their annotation kooperd.dev/paused says so.", labelController)),
		moving: ofDefinitions(d, gauge("kooperd_compose_moving_children",
			"Children that are left as they are until another definition, between which and this one children may move, has handled their parent.",
			labelController)),
		fights: ofDefinitionsAndMore(d, gauge("kooperd_compose_fights",
			"Children that another party changes again and again, by its field manager; empty where that is not known.",
			labelController, "manager"), labelController),
		patches: patchVectors{
			states: ofDefinitions(d, gauge("kooperd_compose_patches",
				"Patches to objects that are no children, by state, as the last call for their parent has left them; 0 on a standby. "+
					"Of definitions with patches alone.", labelController, "state"), patchStates...),
			writes: ofDefinitions(d, counter("kooperd_compose_patch_writes_total",
				"Writes of patches, by why: what is desired has changed, another party had removed it, or it is withdrawn. "+
					"Of definitions with patches alone.", labelController, "reason"), patchReasons...),
		},
		obstacles: ofDefinitions(d, gauge("kooperd_compose_refused_objects",
			"Children and patches that are refused, by what stands against them: a right that is missing, admission (a policy, a webhook, or the fence), "+
				"or something other, such as an object of somebody else; 0 on a standby.", labelController, "by"), obstacles...),
	}
}

// Compose are the metrics of the composer of one definition. All methods are safe for concurrent
// use.
type Compose struct {
	Events
	vectors    composeVectors
	definition string
}

// Compose returns the metrics of the definition's composer, with all series present.
func (c *Controller) Compose() *Compose {
	v := c.definitions.composers
	made := &Compose{Events: c.Events, vectors: v, definition: c.name}
	v.passes.WithLabelValues(c.name)
	v.deletes.WithLabelValues(c.name)
	v.recreates.WithLabelValues(c.name)
	v.skips.WithLabelValues(c.name)
	v.statuses.WithLabelValues(c.name)
	v.held.WithLabelValues(c.name)
	v.paused.WithLabelValues(c.name)
	v.moving.WithLabelValues(c.name)
	v.fights.WithLabelValues(c.name, "")
	for _, reason := range applyReasons {
		v.applies.WithLabelValues(c.name, reason)
	}
	for _, reason := range refusalReasons {
		v.refusals.WithLabelValues(c.name, reason)
	}
	for _, reason := range errorReasons {
		v.errors.WithLabelValues(c.name, reason)
	}
	for _, state := range childStates {
		v.children.WithLabelValues(c.name, state)
	}
	for _, by := range obstacles {
		v.obstacles.WithLabelValues(c.name, by)
	}
	return made
}

// DeclarePatches makes the series of a definition with patches.
func (c *Compose) DeclarePatches() {
	for _, state := range patchStates {
		c.vectors.patches.states.WithLabelValues(c.definition, state)
	}
	for _, reason := range patchReasons {
		c.vectors.patches.writes.WithLabelValues(c.definition, reason)
	}
}

// Patches changes how many patches there are.
func (c *Compose) Patches(applied, waiting, refused int) {
	for i, n := range []int{applied, waiting, refused} {
		if n != 0 {
			c.vectors.patches.states.WithLabelValues(c.definition, patchStates[i]).Add(float64(n))
		}
	}
}

// Patched counts a write of a patch.
func (c *Compose) Patched(reason string) {
	c.vectors.patches.writes.WithLabelValues(c.definition, reason).Inc()
}

// Pass counts a call for one parent.
func (c *Compose) Pass(took time.Duration) {
	c.vectors.passes.WithLabelValues(c.definition).Observe(took.Seconds())
}

// Applied counts a child that was applied.
func (c *Compose) Applied(reason string) {
	c.vectors.applies.WithLabelValues(c.definition, reason).Inc()
}

// Deleted counts a child that was deleted.
func (c *Compose) Deleted() { c.vectors.deletes.WithLabelValues(c.definition).Inc() }

// Recreated counts a child that was deleted to be made anew.
func (c *Compose) Recreated() { c.vectors.recreates.WithLabelValues(c.definition).Inc() }

// Skipped counts a child that was as desired.
func (c *Compose) Skipped() { c.vectors.skips.WithLabelValues(c.definition).Inc() }

// StatusWritten counts a status that was written.
func (c *Compose) StatusWritten() { c.vectors.statuses.WithLabelValues(c.definition).Inc() }

// Refused counts an object that was left alone.
func (c *Compose) Refused(reason string) {
	c.vectors.refusals.WithLabelValues(c.definition, reason).Inc()
}

// Failed counts a request that failed.
func (c *Compose) Failed(reason string) {
	c.vectors.errors.WithLabelValues(c.definition, reason).Inc()
}

// Children changes how many children there are.
func (c *Compose) Children(ready, notReady, refused int) {
	for i, n := range []int{ready, notReady, refused} {
		if n != 0 {
			c.vectors.children.WithLabelValues(c.definition, childStates[i]).Add(float64(n))
		}
	}
}

// Obstacles changes how many children and patches are refused because of a right, by admission, and
// because of something other.
func (c *Compose) Obstacles(rights, admission, other int) {
	for i, n := range []int{rights, admission, other} {
		if n != 0 {
			c.vectors.obstacles.WithLabelValues(c.definition, obstacles[i]).Add(float64(n))
		}
	}
}

// Held changes how many parents have children whose deletion is held.
func (c *Compose) Held(parents int) {
	if parents != 0 {
		c.vectors.held.WithLabelValues(c.definition).Add(float64(parents))
	}
}

// Paused changes how many parents are left alone.
func (c *Compose) Paused(parents int) {
	if parents != 0 {
		c.vectors.paused.WithLabelValues(c.definition).Add(float64(parents))
	}
}

// Moving changes how many children wait for another definition.
func (c *Compose) Moving(children int) {
	if children != 0 {
		c.vectors.moving.WithLabelValues(c.definition).Add(float64(children))
	}
}

// Fights sets how many children a field manager changes again and again; empty where it is not
// known.
func (c *Compose) Fights(manager string, children int) {
	if children == 0 && manager != "" {
		c.vectors.fights.DeleteLabelValues(c.definition, manager)
		return
	}
	c.vectors.fights.WithLabelValues(c.definition, manager).Set(float64(children))
}

// Remove takes the series out when the definition makes no composers any more. Compose brings them
// back.
func (c *Compose) Remove() {
	v := c.vectors
	for _, vector := range []interface {
		DeletePartialMatch(labels prometheus.Labels) int
	}{
		v.passes, v.applies, v.deletes, v.recreates, v.skips, v.statuses, v.refusals, v.errors, v.children, v.held, v.paused, v.moving, v.fights,
		v.patches.states, v.patches.writes, v.obstacles,
	} {
		vector.DeletePartialMatch(prometheus.Labels{labelController: c.definition})
	}
}
