// A day that the console remembers: sun, a household, a battery that follows.
{
  const [slots, kept] = [4320, 3];
  const last = Math.floor(Date.now() / 1000 / 20);
  const lines = [[], [], [], [], []];
  let charge = 30;
  let chance = 1;
  for (let index = 0; index < slots / kept; index++) {
    chance = (chance * 48271) % 2147483647;
    const noise = chance / 2147483647;
    const hour = (index / 60 + 19.5) % 24;
    const clouds = hour > 12.4 && hour < 14 ? 0.35 + 0.5 * noise : 0.97 + 0.03 * noise;
    const sun = hour > 6 && hour < 19 ? Math.sin(((hour - 6) / 13) * Math.PI) ** 1.3 * 9300 * clouds : 0;
    const evening = hour > 17.5 && hour < 22 ? 1700 : hour > 6.5 && hour < 8 ? 1300 : 0;
    const load = 620 + 160 * noise + evening + (index % 60 < 14 ? 420 : 0);
    let battery = Math.max(-5000, Math.min(5000, load - sun));
    if ((charge >= 100 && battery < 0) || (charge <= 20 && battery > 0)) battery = 0;
    charge = Math.max(20, Math.min(100, charge - battery / 60 / 340));
    const values = [sun, load, battery, load - sun - battery, charge * 10];
    values.forEach((value, line) => lines[line].push(Math.round(value)));
  }
  const seen = { last, lines: lines.map((line) => line.join(",")) };
  if (location.protocol === "http:") {
    localStorage.setItem("pw_trend", JSON.stringify({ "": seen, home: seen }));
    localStorage.setItem("pw_console_range", "86400");
  }
}
