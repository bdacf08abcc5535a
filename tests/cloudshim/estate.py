"""A small estate in the cloud: instances in two zones, behind whatever a test needs."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cloudshim.server import Cloud

FASTEST = 5  # seconds between health checks that AWS accepts
ZONES = ("eu-west-1a", "eu-west-1b")


@dataclass
class Estate:
    """What ``build`` made; more is added by its methods."""

    cloud: Cloud
    vpc: str = ""
    subnets: tuple[str, ...] = ()  # one a zone, for whom an address is chosen here
    blocks: tuple[ipaddress.IPv4Network, ...] = ()
    scaling: tuple[str, ...] = ()  # one a zone, where Auto Scaling chooses
    instances: dict[str, str] = field(default_factory=dict)  # address: id

    def build(
        self,
        addresses: Sequence[str] = (),
        *,
        tag: str = "auth",
        vpc: str = "10.0.0.0/16",
        subnets: Sequence[str] = ("10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24"),
    ) -> "Estate":
        """See to a network of two zones, and to instances at these addresses."""
        ec2 = self.cloud.client("ec2")
        if not self.vpc:
            self.vpc = ec2.create_vpc(CidrBlock=vpc)["Vpc"]["VpcId"]
            made = [
                ec2.create_subnet(VpcId=self.vpc, CidrBlock=block, AvailabilityZone=zone)["Subnet"][
                    "SubnetId"
                ]
                for block, zone in zip(subnets, ZONES * 2, strict=False)
            ]
            self.blocks = tuple(ipaddress.ip_network(block) for block in subnets)
            self.subnets, self.scaling = tuple(made[:2]), tuple(made[2:] or made)
        for address in addresses:
            if address not in self.instances:
                self.instance(address, tag=tag)
        return self

    def ids(self, *addresses: str) -> list[str]:
        """The instances at these addresses."""
        return [self.instances[address] for address in addresses]

    def instance(self, address: str, *, tag: str = "auth") -> str:
        """Run one more instance, in the zone that its address belongs to."""
        here = ipaddress.ip_address(address)
        number = next(n for n, block in enumerate(self.blocks) if here in block)
        made = self.cloud.client("ec2").run_instances(
            ImageId="ami-12c6146b",
            MinCount=1,
            MaxCount=1,
            SubnetId=self.subnets[number],
            PrivateIpAddress=address,
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": "app", "Value": tag}]}
            ],
        )["Instances"][0]
        self.instances[address] = made["InstanceId"]
        return str(made["InstanceId"])

    def target_group(
        self,
        *,
        name: str = "auth",
        kind: str = "instance",
        protocol: str = "HTTP",
        port: int = 8101,
        delay: int = 20,
        interval: int = 10,
        attached: bool = True,
        **attributes: str,
    ) -> str:
        """Make a target group, with a load balancer in front of it; its ARN."""
        elbv2 = self.cloud.client("elbv2")
        made = elbv2.create_target_group(
            Name=name,
            Protocol=protocol,
            Port=port,
            VpcId=self.vpc,
            TargetType=kind,
            HealthCheckIntervalSeconds=max(interval, FASTEST),
            HealthCheckTimeoutSeconds=2,
            HealthyThresholdCount=2,
            UnhealthyThresholdCount=2,
        )
        arn = str(made["TargetGroups"][0]["TargetGroupArn"])
        given = {"deregistration_delay.timeout_seconds": str(delay), **attributes}
        self.set(arn, **given)
        self.cloud.app.hurry(arn, interval)
        if attached:
            balancer = elbv2.create_load_balancer(
                Name=f"lb-{name}",
                Subnets=list(self.subnets),
                Type="application" if protocol.startswith("HTTP") else "network",
            )
            elbv2.create_listener(
                LoadBalancerArn=balancer["LoadBalancers"][0]["LoadBalancerArn"],
                Protocol=protocol,
                Port=80,
                DefaultActions=[{"Type": "forward", "TargetGroupArn": arn}],
            )
        return arn

    def set(self, arn: str, **attributes: str) -> None:
        """Set attributes of a target group."""
        self.cloud.client("elbv2").modify_target_group_attributes(
            TargetGroupArn=arn,
            Attributes=[{"Key": key, "Value": value} for key, value in attributes.items()],
        )

    def register(self, arn: str, *ids: str, port: int = 8101) -> None:
        """Register targets."""
        targets = [{"Id": one, "Port": port} for one in ids]
        self.cloud.client("elbv2").register_targets(TargetGroupArn=arn, Targets=targets)

    def classic(
        self,
        *ids: str,
        name: str = "auth",
        delay: int = 20,
        interval: int = 5,
        crosses: bool = True,
    ) -> str:
        """Make a classic load balancer with these instances; its name."""
        elb = self.cloud.client("elb")
        elb.create_load_balancer(
            LoadBalancerName=name,
            Listeners=[{"Protocol": "HTTP", "LoadBalancerPort": 80, "InstancePort": 8101}],
            Subnets=list(self.subnets),
        )
        elb.configure_health_check(
            LoadBalancerName=name,
            HealthCheck={
                "Target": "HTTP:8101/healthz",
                "Interval": max(interval, FASTEST),
                "Timeout": 2,
                "UnhealthyThreshold": 2,
                "HealthyThreshold": 2,
            },
        )
        self.cloud.app.hurry(name, interval)
        draining = {"Enabled": True, "Timeout": delay} if delay else {"Enabled": False}
        elb.modify_load_balancer_attributes(
            LoadBalancerName=name,
            LoadBalancerAttributes={
                "ConnectionDraining": draining,
                "CrossZoneLoadBalancing": {"Enabled": crosses},
            },
        )
        if ids:
            elb.register_instances_with_load_balancer(
                LoadBalancerName=name, Instances=[{"InstanceId": one} for one in ids]
            )
        return name

    def scaling_group(self, *groups: str, name: str = "auth", size: int = 3) -> dict[str, str]:
        """Make an Auto Scaling group of so many instances; their addresses and ids."""
        scaling = self.cloud.client("autoscaling")
        scaling.create_launch_configuration(
            LaunchConfigurationName=name, ImageId="ami-12c6146b", InstanceType="t3.micro"
        )
        scaling.create_auto_scaling_group(
            AutoScalingGroupName=name,
            LaunchConfigurationName=name,
            MinSize=size,
            MaxSize=size + 5,
            DesiredCapacity=size,
            VPCZoneIdentifier=",".join(self.scaling),
            TargetGroupARNs=list(groups),
        )
        return self.scaled(*groups, name=name)

    def adopt(self, arn: str, *ids: str, name: str = "auth") -> None:
        """Make an Auto Scaling group of instances that there are."""
        self.scaling_group(arn, name=name, size=0)
        scaling = self.cloud.client("autoscaling")
        scaling.attach_instances(InstanceIds=list(ids), AutoScalingGroupName=name)
        scaling.update_auto_scaling_group(AutoScalingGroupName=name, MinSize=len(ids))
        self.register(arn, *ids)

    def scaled(self, *groups: str, name: str = "auth") -> dict[str, str]:
        """The instances of an Auto Scaling group, registered where it is attached, as AWS does."""
        ids = [one["InstanceId"] for one in self.group(name)["Instances"]]
        if not ids:
            return {}
        found = self.cloud.client("ec2").describe_instances(InstanceIds=ids)["Reservations"]
        machines = [one for each in found for one in each["Instances"]]
        new = [one for one in ids if one not in self.instances.values()]
        self.instances |= {one["PrivateIpAddress"]: one["InstanceId"] for one in machines}
        for arn in groups if new else ():
            self.register(arn, *new)
        return {one["PrivateIpAddress"]: one["InstanceId"] for one in machines}

    def group(self, name: str = "auth") -> dict[str, Any]:
        """What AWS says of an Auto Scaling group."""
        scaling = self.cloud.client("autoscaling")
        answer = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])
        return dict(answer["AutoScalingGroups"][0])
