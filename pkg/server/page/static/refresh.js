// Brings an open page up to date every few seconds. What has not changed stays as it is, with
// focus, selection, scroll position, and what is unfolded. Without this script the page is whole.
(() => {
	"use strict";
	const every = 5000, patience = 20000;
	const parts = ["replica", "asof", "trouble", "content", "foot"];
	const button = document.getElementById("pause");
	const stale = document.getElementById("stale");
	const content = document.getElementById("content");
	const assets = document.documentElement.dataset.assets;
	let paused = remembered();
	let timer = 0;
	let asking = false;
	let answered = new Date();
	let refused = false;

	function remembered() {
		try { return sessionStorage.getItem("paused") === "yes"; } catch { return false; }
	}
	function remember() {
		try { sessionStorage.setItem("paused", paused ? "yes" : "no"); } catch { /* it is forgotten with the page */ }
	}

	// keyOf tells which of the elements beside each other is which, also when their order changes.
	function keyOf(node) {
		return node.nodeType === Node.ELEMENT_NODE ? node.dataset.key || node.id || node.getAttribute("aria-labelledby") : "";
	}

	// become makes one element what another is.
	function become(element, wanted) {
		for (const { name, value } of wanted.attributes) {
			if (name !== "open" && element.getAttribute(name) !== value) element.setAttribute(name, value);
		}
		for (const { name } of [...element.attributes]) {
			if (name !== "open" && !wanted.hasAttribute(name)) element.removeAttribute(name);
		}
		const keyed = new Map();
		for (const child of element.children) if (keyOf(child)) keyed.set(keyOf(child), child);
		let at = element.firstChild;
		for (const next of [...wanted.childNodes]) {
			const key = keyOf(next);
			let mine = at;
			if (key) mine = keyed.get(key);
			else while (mine && (keyOf(mine) || mine.nodeName !== next.nodeName)) mine = mine.nextSibling;
			if (!mine || mine.nodeName !== next.nodeName) {
				element.insertBefore(document.importNode(next, true), at);
				continue;
			}
			if (mine === at) at = at.nextSibling;
			else element.insertBefore(mine, at);
			if (mine.nodeType === Node.ELEMENT_NODE) become(mine, next);
			else if (mine.data !== next.data) mine.data = next.data;
		}
		while (at) {
			const gone = at;
			at = at.nextSibling;
			gone.remove();
		}
	}

	function show(text) {
		const wanted = new DOMParser().parseFromString(text, "text/html");
		if (wanted.documentElement.dataset.assets !== assets) {
			location.reload();
			return;
		}
		const focused = document.activeElement;
		document.title = wanted.title;
		for (const id of parts) {
			const mine = document.getElementById(id), theirs = wanted.getElementById(id);
			if (mine && theirs) become(mine, theirs);
		}
		if (focused && focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
	}

	function warn(text) {
		content.classList.toggle("old", text !== "");
		if (stale.textContent !== text) stale.textContent = text;
		stale.hidden = text === "";
	}

	async function ask() {
		asking = true;
		try {
			const answer = await fetch(location.href, { cache: "no-store", credentials: "same-origin", signal: AbortSignal.timeout(patience) });
			const text = await answer.text();
			if (answer.status === 401) {
				refused = true; // It would be refused again, until somebody gives another token.
				warn("The token is not accepted any more. Load the page again to give another one. What you see is of " + answered.toLocaleTimeString() + ".");
				asking = false;
				return;
			}
			const html = (answer.headers.get("Content-Type") || "").startsWith("text/html");
			if (!html) throw new Error(text.trim().slice(0, 200) || `status ${answer.status}`);
			if (!paused) show(text);
			answered = new Date();
			warn("");
		} catch (err) {
			const why = err instanceof TypeError || err.name === "TimeoutError" ? "it cannot be reached" : err.message;
			warn(`This replica has not answered since ${answered.toLocaleTimeString()}: ${why}. What you see is as old as that.`);
		}
		asking = false;
	}

	// busy says that a change of the page would be in the way: something is selected in it.
	function busy() {
		const selection = document.getSelection();
		return selection !== null && !selection.isCollapsed && content.contains(selection.anchorNode);
	}

	async function tick() {
		clearTimeout(timer);
		if (!asking && !refused && !paused && !document.hidden && !busy()) await ask();
		clearTimeout(timer);
		timer = setTimeout(tick, every);
	}

	function label() {
		button.textContent = paused ? "Resume updates" : "Pause updates";
		document.body.classList.toggle("paused", paused);
	}

	button.addEventListener("click", () => {
		paused = !paused;
		remember();
		label();
		if (!paused) tick();
	});
	document.addEventListener("visibilitychange", () => { if (!document.hidden) tick(); });
	document.getElementById("again").hidden = true;
	button.hidden = false;
	label();
	timer = setTimeout(tick, every);
})();
