//! Less processor and less memory for a container, by the engine's own limits.

use bollard::models::{ContainerStatsResponse, ContainerThrottlingData, ContainerUpdateBody, HostConfig};
use bollard::query_parameters::StatsOptionsBuilder;
use futures_util::StreamExt;

use super::super::super::{ClusterError, CpuLimits, MemoryLimits, Undo};
use super::{Container, process};

/// The period of a limit of the processor in microseconds, as the engine itself takes it for `--cpus`.
const CPU_PERIOD: i64 = 100_000;
/// More than any machine has: the engine cannot be told to take a limit of memory away, only to raise it.
const NO_LIMIT_OF_MEMORY: i64 = 1 << 50;

/// What will put the limits of the processor back.
pub(super) async fn undo_of_cpu(container: &Container<'_>) -> Result<Undo, ClusterError> {
    let host = host_config(container).await?;
    let before = CpuLimits {
        nano_cpus: host.nano_cpus.unwrap_or_default(),
        quota: host.cpu_quota.unwrap_or_default(),
        period: host.cpu_period.unwrap_or_default(),
    };
    Ok(Undo::RestoreCpu { node: container.node.clone(), before })
}

/// What will put the limits of memory back.
pub(super) async fn undo_of_memory(container: &Container<'_>) -> Result<Undo, ClusterError> {
    let host = host_config(container).await?;
    let before =
        MemoryLimits { memory: host.memory.unwrap_or_default(), memory_and_swap: host.memory_swap.unwrap_or_default() };
    Ok(Undo::RestoreMemory { node: container.node.clone(), before })
}

/// Gives the container only so many cores.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a number of cores is small")]
pub(super) async fn limit_cpu(container: &Container<'_>, cores: f64) -> Result<(), ClusterError> {
    // The engine refuses a quota where the container was made with `--cpus`, and the other way round.
    let by_cores = host_config(container).await?.nano_cpus.is_some_and(|limit| limit > 0);
    let body = if by_cores {
        ContainerUpdateBody { nano_cpus: Some((cores * 1e9) as i64), ..ContainerUpdateBody::default() }
    } else {
        let quota = (cores * CPU_PERIOD as f64) as i64;
        cpu_quota(quota, CPU_PERIOD)
    };
    update(container, body, "limiting the processors of").await
}

/// Puts the limits of the processor back.
pub(super) async fn restore_cpu(container: &Container<'_>, before: &CpuLimits) -> Result<(), ClusterError> {
    let doing = "giving its processors back to";
    let body = match before {
        CpuLimits { nano_cpus, .. } if *nano_cpus > 0 => {
            ContainerUpdateBody { nano_cpus: Some(*nano_cpus), ..ContainerUpdateBody::default() }
        }
        CpuLimits { quota, period, .. } if *quota > 0 => cpu_quota(*quota, *period),
        // Zero would change nothing.
        _ => cpu_quota(-1, 0),
    };
    update(container, body, doing).await?;
    if before.nano_cpus > 0 || before.quota > 0 {
        return Ok(());
    }
    // The kernel counts periods only where there is a limit.
    let limited = || async {
        let periods = periods(container).await?.0;
        Ok((periods > 0).then(|| format!("its cgroup was limited in {periods} periods of the last second")))
    };
    container.wait_healed(doing, limited).await
}

/// Whether the container gets only a part of the processors.
pub(super) async fn limits_cpu(container: &Container<'_>) -> Result<bool, ClusterError> {
    let host = host_config(container).await?;
    Ok([host.nano_cpus, host.cpu_quota].into_iter().flatten().any(|limit| limit > 0))
}

fn cpu_quota(quota: i64, period: i64) -> ContainerUpdateBody {
    ContainerUpdateBody { cpu_quota: Some(quota), cpu_period: Some(period), ..ContainerUpdateBody::default() }
}

/// What is seen instead of a container that would use more of the processors than it gets.
pub(super) async fn missing_shortage_of_cpu(
    container: &Container<'_>,
    cores: f64,
) -> Result<Option<String>, ClusterError> {
    let (all, throttled) = periods(container).await?;
    Ok((throttled == 0).then(|| {
        format!("{} had to wait in none of {all} periods: it needs no more than {cores} cores", container.node)
    }))
}

/// The periods of the last second in which the container's processors were limited, and those of them in which it had
/// to wait.
async fn periods(container: &Container<'_>) -> Result<(u64, u64), ClusterError> {
    let stats = stats(container).await?;
    let counts = |data: Option<ContainerThrottlingData>| {
        let data = data.unwrap_or_default();
        (data.periods.unwrap_or_default(), data.throttled_periods.unwrap_or_default())
    };
    let now = counts(stats.cpu_stats.and_then(|stats| stats.throttling_data));
    let before = counts(stats.precpu_stats.and_then(|stats| stats.throttling_data));
    Ok((now.0.saturating_sub(before.0), now.1.saturating_sub(before.1)))
}

/// Gives the container only so much memory, and no swap.
pub(super) async fn limit_memory(container: &Container<'_>, to: u64) -> Result<(), ClusterError> {
    let to = i64::try_from(to).unwrap_or(NO_LIMIT_OF_MEMORY);
    let limited = update(container, memory(to, to), "limiting the memory of").await;
    limited.map_err(|error| match error {
        ClusterError::Environment { step, reason, .. } if reason.contains("current usage") => {
            ClusterError::environment(step, reason, "cgroup v1 takes no limit below what is in use: use a higher `to`")
        }
        error => error,
    })
}

/// Puts the limits of memory back, and starts the container again if it has ended.
pub(super) async fn restore_memory(container: &Container<'_>, before: &MemoryLimits) -> Result<(), ClusterError> {
    let doing = "giving its memory back to";
    let limit = |limit: i64| if limit > 0 { limit } else { NO_LIMIT_OF_MEMORY };
    let MemoryLimits { memory: bytes, memory_and_swap } = *before;
    update(container, memory(limit(bytes), limit(memory_and_swap)), doing).await?;
    process::start(container).await?;
    let info = container.docker.info().await.map_err(|error| container.failed(doing, &error))?;
    let expected = limit(bytes).min(info.mem_total.unwrap_or(NO_LIMIT_OF_MEMORY));
    let limited = || async {
        let stats = stats(container).await?.memory_stats.and_then(|stats| stats.limit);
        let limit = stats.and_then(|limit| i64::try_from(limit).ok()).unwrap_or_default();
        Ok((limit < expected).then(|| format!("it may use {limit} bytes and not {expected}")))
    };
    container.wait_healed(doing, limited).await
}

fn memory(memory: i64, memory_and_swap: i64) -> ContainerUpdateBody {
    ContainerUpdateBody { memory: Some(memory), memory_swap: Some(memory_and_swap), ..ContainerUpdateBody::default() }
}

/// What is seen instead of a container that the kernel has ended for want of memory.
pub(super) async fn missing_end_for_want_of_memory(
    container: &Container<'_>,
    to: u64,
) -> Result<Option<String>, ClusterError> {
    let state = process::state(container).await?;
    if state.oom_killed == Some(true) && state.running == Some(false) {
        return Ok(None);
    }
    let used = stats(container).await?.memory_stats.and_then(|stats| stats.usage).unwrap_or_default();
    Ok(Some(format!("{} uses {used} bytes of {to}", container.node)))
}

async fn host_config(container: &Container<'_>) -> Result<HostConfig, ClusterError> {
    Ok(container.inspect().await?.host_config.unwrap_or_default())
}

async fn update(container: &Container<'_>, body: ContainerUpdateBody, doing: &str) -> Result<(), ClusterError> {
    let updated = container.docker.update_container(&container.id, body).await;
    updated.map_err(|error| container.failed(doing, &error))
}

/// What the engine has measured of the container, now and a second before.
async fn stats(container: &Container<'_>) -> Result<ContainerStatsResponse, ClusterError> {
    let doing = "measuring";
    let options = StatsOptionsBuilder::default().stream(false).build();
    let stats = Box::pin(container.docker.stats(&container.id, Some(options))).next().await;
    let stats = stats.ok_or_else(|| {
        ClusterError::environment(format!("{doing} {}", container.node), "the engine measured nothing", "")
    })?;
    stats.map_err(|error| container.failed(doing, &error))
}
