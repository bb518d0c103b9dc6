// What the browser makes of the site. It is told to the test by a POST, in two reports: before and after the page was reloaded.
const once = (target, event) => new Promise((resolve, reject) => {
	target.addEventListener(event, resolve, { once: true });
	target.addEventListener('error', () => reject(new Error('no ' + event)), { once: true });
});

// film seeks in what is longer than a browser wants at once.
async function film() {
	const video = document.querySelector('video');
	if (video.readyState < 1) await once(video, 'loadedmetadata');
	const at = [];
	for (const part of [0.9, 0.4]) {
		const seeked = once(video, 'seeked');
		video.currentTime = video.duration * part;
		await seeked;
		at.push(Math.round(video.currentTime));
	}
	return { duration: Math.round(video.duration), at };
}

async function echo() {
	const socket = new WebSocket('ws://' + location.host + '/socket');
	await once(socket, 'open');
	const texts = [];
	for (const text of ['one', 'two']) {
		const message = once(socket, 'message');
		socket.send(text);
		texts.push((await message).data);
	}
	socket.close();
	return texts;
}

async function events() {
	const source = new EventSource('/events');
	const texts = [(await once(source, 'message')).data];
	const message = once(source, 'message');
	await fetch('/next', { method: 'POST' });
	texts.push((await message).data);
	source.close();
	return texts;
}

// again has the browser validate what it has.
async function again(url) {
	const response = await fetch(url, { cache: 'no-cache' });
	return [response.status, (await response.text()).length > 0].join(' ');
}

async function look() {
	if (document.readyState !== 'complete') await once(window, 'load');
	const report = {
		color: getComputedStyle(document.body).color,
		picture: document.querySelector('img').naturalWidth,
	};
	if (sessionStorage.seen) {
		report.again = await Promise.all(['style.css', 'site.js', 'picture.svg'].map(again));
		return report;
	}
	report.film = await film();
	report.echo = await echo();
	report.events = await events();
	return report;
}

look().catch((error) => ({ error: String(error) })).then(async (report) => {
	await fetch('/report', { method: 'POST', body: JSON.stringify(report) });
	if (sessionStorage.seen) return;
	sessionStorage.seen = true;
	location.reload();
});
