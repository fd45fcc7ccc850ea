package telemetry

import "github.com/prometheus/client_golang/prometheus"

// The values of the label state of parents in a rollout.
var rolloutStates = []string{"updated", "updating", "held"}

func newRolloutVector(d *definitionVectors) *prometheus.GaugeVec {
	return ofDefinitions(d, gauge("kooperd_rollout_parents",
		"Parents by how far the rollout of what is desired for them is; 0 on a standby. Of definitions with rollout alone.",
		labelController, "state"), rolloutStates...)
}

// Rollout is the metric of the rollout of one definition. All methods are safe for concurrent use.
type Rollout struct {
	parents    *prometheus.GaugeVec
	definition string
}

// Rollout returns the metric of the definition's rollout. It has no series before Declare or Set.
func (c *Controller) Rollout() *Rollout {
	return &Rollout{parents: c.definitions.rollouts, definition: c.name}
}

// Declare makes the series, where they are not there.
func (r *Rollout) Declare() {
	for _, state := range rolloutStates {
		r.parents.WithLabelValues(r.definition, state)
	}
}

// Set says how many parents have what is desired and are ready, how many are on their way to that,
// and how many are held.
func (r *Rollout) Set(updated, updating, held int) {
	for i, n := range []int{updated, updating, held} {
		r.parents.WithLabelValues(r.definition, rolloutStates[i]).Set(float64(n))
	}
}

// Remove takes the series out when the definition has no rollout any more. Set brings them back.
func (r *Rollout) Remove() {
	for _, state := range rolloutStates {
		r.parents.DeleteLabelValues(r.definition, state)
	}
}
