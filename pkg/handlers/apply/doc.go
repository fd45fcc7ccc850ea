// Package apply is the plugin "apply": a composer that is written in the config. Its children are
// templates with expressions in CEL, and so is the status of the parent.
//
// It evaluates templates and nothing else. How children are applied, owned, repaired and deleted is
// pkg/compose; how expressions are checked and evaluated is pkg/expression.
//
//	daemon.Main(ctx, apply.Plugin)
package apply
