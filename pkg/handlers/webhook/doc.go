// Package webhook is the plugin "webhook": a composer that asks services over HTTP which objects
// should exist, in the protocol of metacontroller's hooks.
//
// It carries requests and answers. What is in them is pkg/hook, and how children are applied,
// owned, repaired and deleted is pkg/compose.
//
//	daemon.Main(ctx, webhook.Plugin)
package webhook
